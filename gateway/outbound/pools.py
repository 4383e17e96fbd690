"""Connection pools: pyreqwest behind httpx's transport interface (native httpx collapses with concurrency).

A pool follows no redirect, reads no proxy variable and keeps no cookie.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from pyreqwest.client import ClientBuilder
from pyreqwest.compatibility.httpx import HttpxTransport

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx

    from gateway.outbound.limits import SystemLimits

_IDLE_S: Final = 20
_LET_GO_S: Final = 0.05


def pooled_transport(limits: SystemLimits) -> httpx.AsyncBaseTransport:
    """The pool of one system."""
    return HttpxTransport(_builder(limits.concurrency, limits.connect_timeout).build())


async def close_pools(transports: Iterable[httpx.AsyncBaseTransport]) -> None:
    """Close all and give their thread a moment to let go.

    pyreqwest 0.15's runtime thread still releases Python objects after `close` returned; an interpreter that ends in
    that moment aborts (``PyGILState_Release``, one exit in six).
    """
    for transport in transports:
        await transport.aclose()
    await asyncio.sleep(_LET_GO_S)


def _builder(connections: int, connect_timeout: float) -> ClientBuilder:
    return (
        ClientBuilder()
        .max_connections(connections)
        .connect_timeout(timedelta(seconds=connect_timeout))
        .pool_idle_timeout(timedelta(seconds=_IDLE_S))
        .follow_redirects(enable=False)
        .referer(enable=False)
        .user_agent("crossdock")
        .no_proxy()
    )
