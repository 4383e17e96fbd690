"""The tiny upstream behind every proxy: one fixed answer to every request, as fast as the loop gives it.

Run as a process of its own (``python -m benchmarks.edge.upstream PORT``).
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Final

import uvloop

_BODY: Final = b'{"id":"ord_1","status":"confirmed","lines":[{"sku":"SKU-0001","quantity":"12","unit":"EA"}]}'
_ANSWER: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(_BODY),
    _BODY,
)


class Upstream(asyncio.Protocol):
    """Answers each head that ends; reads no bodies."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport: Any = transport
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        """Answer every whole request in `data`."""
        *whole, self._rest = (self._rest + data).split(b"\r\n\r\n")
        if whole:
            self._transport.write(_ANSWER * len(whole))


async def serve(port: int) -> None:
    """Listen until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
