"""Sites before an upstream; see `proxied_upstreams`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from proxied_upstreams import DOCUMENT, RawServer, Site

from gateway.edge.strict import parse_json
from gateway.kernel.clock import SystemClock
from gateway.systems.proxied.api import ProxiedApi
from gateway.systems.proxied.document import Document
from gateway.systems.proxied.options import ProxiedOptions
from gateway.telemetry.counters import Counters


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    running = RawServer()
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def make_site(server: RawServer) -> AsyncIterator[Callable[..., Site]]:
    """Sites before `server`; options as in settings."""
    made: list[Site] = []

    def make(document: dict[str, Any] = DOCUMENT, **options: Any) -> Site:
        counters = Counters()
        given: dict[str, Any] = {
            "base_url": f"http://127.0.0.1:{server.port}/base",
            "private_targets": ("127.0.0.0/8",),
            "streaming": ("ticks", "upload") if document is DOCUMENT else (),
            **options,
        }
        owners = {"openapi": "-", "business_owner": "Sales", "technical_owner": "the items team"}
        typed = msgspec.convert(owners | given, ProxiedOptions, strict=False)
        api = ProxiedApi(
            "legacy", typed, Document(document, "document"), clock=SystemClock(), counters=counters, parse=parse_json
        )
        made.append(Site(api, counters))
        return made[-1]

    yield make
    for site in made:
        await site.api.close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site(responses="enforce")
