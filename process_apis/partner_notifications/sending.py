"""The HTTP answer that a stream of events is."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from litestar import Response
from litestar.types import Receive, Scope, Send

from gateway.kernel.event_stream import MEDIA_TYPE
from process_apis.partner_notifications.streaming import Telling


class EventStream(Response[bytes]):
    """Tells a stream until it ends or the client leaves. Unlike a generator's, its place is given back at once."""

    def __init__(self, telling: Telling) -> None:
        super().__init__(b"", media_type=MEDIA_TYPE)
        self._telling = telling

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        """The answer as an ASGI application."""
        return self._answer

    async def _answer(self, _scope: Scope, receive: Receive, send: Send) -> None:
        async def part(data: bytes, *, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": more})

        headers = [(b"content-type", MEDIA_TYPE.encode()), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        telling = asyncio.create_task(self._telling.tell(part))
        leaving = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait((telling, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            telling.cancel()
            await asyncio.wait((telling, leaving))
        with contextlib.suppress(asyncio.CancelledError):
            telling.result()
            await part(b"", more=False)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
