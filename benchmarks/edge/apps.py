"""What is measured: a bare ASGI answer, the same answer behind the whole chain, and the gateway as it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from gateway.app import Core, Gateway
from gateway.asgi import make_gateway
from gateway.edge.front_door import FrontDoor
from gateway.kernel.exchange import Exchange, Reply
from gateway.serving.settling import settle
from gateway.settings import load_settings

# The fields that the chain adds to an answer, of the lengths that they have there.
_ADDED: Final = [
    (b"x-request-id", b"req_" + b"0" * 32),
    (b"ratelimit-policy", b'"burst";q=10000000;w=6, "rate";q=100000000;w=60'),
    (b"ratelimit", b'"burst";r=10000012;t=0'),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
]


class Bare:
    """Answers every request with one body; passes lifespan events to `behind` if there is one."""

    def __init__(self, body: bytes, behind: Any = None) -> None:
        self._body = body
        self.headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        self._behind = behind

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await (self._behind(scope, receive, send) if self._behind else _lifespan(receive, send))
            return
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _body() -> bytes:
    return Path(os.environ["BENCH_BODY"]).read_bytes()


def raw() -> Bare:
    """No policy at all."""
    settle()
    return Bare(_body())


def raw_same_fields() -> Bare:
    """No policy at all, but as many header fields in the answer as the chain adds: what sending them costs."""
    bare = raw()
    bare.headers += _ADDED
    return bare


def governed_raw() -> FrontDoor:
    """The bare answer behind the chain of the gateway with its production defaults.

    It answers where the door calls handlers itself, which is how the gateway serves every plain operation.
    """
    gateway = Gateway(Core(load_settings()))
    body = _body()
    inner = Bare(body, behind=gateway.router)

    async def answer(exchange: Exchange) -> None:
        exchange.reply = Reply(200, list(inner.headers), body)

    direct = {route.id: answer for route in gateway.routes.routes}
    settle()
    policies = gateway._policies()  # noqa: SLF001
    return FrontDoor(inner, gateway.routes, policies, gateway.core.clock, observe=gateway.access, direct=direct)


def ours() -> Any:
    """The gateway, as its server makes it."""
    return make_gateway()
