"""Liveness and readiness, for whoever restarts us and whoever sends us traffic.

``/livez`` needs nothing: a process that answers is alive, and restarting it would not bring a database back.
``/readyz`` asks what the gateway cannot serve without (the record, its schema, a configuration) and says which part is
missing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from gateway.kernel.errors import CrossdockError

ReadinessCheck = Callable[[], Awaitable[None]]

_OPTIONS: Final = {"zone": None, "api": "operations", "version": "", "cost": 0}
_SECONDS: Final = 2.0
_MEDIA_TYPE: Final = "application/json"


def health_routes(
    checks: Mapping[str, ReadinessCheck],
    *,
    draining: Callable[[], bool] = lambda: False,
    facts: Callable[[], Mapping[str, Any]] = dict,
) -> list[HTTPRouteHandler]:
    """``/livez`` and ``/readyz``. A check raises `CrossdockError` (or takes over 2 s) when its part is missing.

    `facts` are told beside the checks and decide nothing.
    """

    @get("/livez", opt=_OPTIONS, operation_id="livez")
    async def livez() -> Response[bytes]:
        return _answer(200, {"status": "alive"})

    @get("/readyz", opt=_OPTIONS, operation_id="readyz")
    async def readyz() -> Response[bytes]:
        names = list(checks)
        words = await asyncio.gather(*(_word(checks[name]) for name in names))
        parts = dict(zip(names, words, strict=True))
        if draining():
            parts["drain"] = "draining: no new work is taken"
        ready = all(word == "ok" for word in parts.values())
        word = "ready" if ready else "not ready"
        return _answer(200 if ready else 503, {"status": word, "checks": parts, **facts()})

    return [livez, readyz]


async def _word(check: ReadinessCheck) -> str:
    try:
        async with asyncio.timeout(_SECONDS):
            await check()
    except TimeoutError:
        return f"no answer within {_SECONDS:g} s"
    except CrossdockError as error:
        return error.code
    return "ok"


def _answer(status: int, body: Mapping[str, Any]) -> Response[bytes]:
    headers = {"retry-after": "1"} if status != 200 else {}  # noqa: PLR2004
    return Response(msgspec.json.encode(body), status_code=status, media_type=_MEDIA_TYPE, headers=headers)
