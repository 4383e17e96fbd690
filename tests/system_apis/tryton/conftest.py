"""Adapters: over the real Tryton of this session, and over a session of the test's choice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.kernel.clock import SystemClock
from gateway.outbound.door import Outbound
from gateway.outbound.limits import SystemLimits
from gateway.outbound.session import Session
from system_apis.tryton.adapter import Adapter
from system_apis.tryton.sandbox import TrytonSandbox
from system_apis.tryton.settings import Settings


@pytest.fixture(scope="session")
async def outbound() -> AsyncIterator[Outbound]:
    async with Outbound() as door:
        yield door


@pytest.fixture
def session(tryton: TrytonSandbox, outbound: Outbound) -> Session:
    return outbound.session("tryton", tryton.url, SystemLimits(breaker_failures=1000, retries=0))


@pytest.fixture
def adapter(tryton: TrytonSandbox, session: Session) -> Adapter:
    return Adapter("erp", tryton.settings(), session, SystemClock())


@pytest.fixture
def adapter_over(tmp_path: Path) -> Callable[[Any], Adapter]:
    """Makes an adapter that speaks through the session given."""
    password = tmp_path / "password"
    password.write_text("not asked for", encoding="utf-8")
    settings = Settings(
        base_url="http://127.0.0.1:1",
        database="crossdock",
        user="crossdock",
        password=f"file:{password}",
        units={"cs6": "CS", "cs12": "CS", "cs24": "CS"},
    )
    return lambda session: Adapter("erp", settings, session, SystemClock())
