"""An adapter over a session of the test's choice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.kernel.clock import SystemClock
from system_apis.tryton.adapter import Adapter
from system_apis.tryton.settings import Settings


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
