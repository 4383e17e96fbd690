"""One HTTP/1.1 connection that posts JSON: as little as a load can be, so that the servers have the cores."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from typing import Any

_PATIENCE = 120.0
_LONGEST = 1 << 24
_IDLE = 2.0  # Node closes what was idle for 5 s, without a word


class Line:
    """A connection kept open, and made anew when it was idle for long or the server closes it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used = 0.0

    async def post(self, path: str, content: Any, **headers: str) -> tuple[int, dict[str, str], Any]:
        """Status, headers (lower case) and the JSON of the answer, or its text. Sent once, whatever happens.

        Raises `OSError` when no whole answer came, `TimeoutError` (one of them) after two minutes.
        """
        body = json.dumps(content).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nContent-Type: application/json\r\n"
        head += "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        try:
            async with asyncio.timeout(_PATIENCE):
                return await self._exchange(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        except (OSError, EOFError) as error:
            self.close()
            raise OSError(f"no whole answer ({type(error).__name__})") from error

    async def _exchange(self, request: bytes) -> tuple[int, dict[str, str], Any]:
        if time.monotonic() - self._used > _IDLE:
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=_LONGEST)
        reader, writer = self._streams
        writer.write(request)
        start, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await _body(reader, headers)
        self._used = time.monotonic()
        if headers.get("connection", "").lower() == "close":
            self.close()
        return int(start.split()[1]), headers, _read(body)

    def close(self) -> None:
        """The next request makes a new connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "chunked" not in headers.get("transfer-encoding", ""):
        return await reader.readexactly(int(headers.get("content-length", 0)))
    parts = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(parts)


def _read(body: bytes) -> Any:
    plain = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
    try:
        return json.loads(plain)
    except ValueError:
        return plain.decode(errors="replace")
