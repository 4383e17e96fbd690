"""A small door on the real server (`small_gateway.py PORT METRICS WORKERS REFUSING`), and clients that notice all."""

import asyncio
import json
import os
import sys
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path

EDGE = Path(__file__).parents[1] / "edge"
ROOT = Path(__file__).parents[3]
EVENTS_PER_SECOND = 20
PART, PARTS = b"x" * 1000, 30


def make_app(line):
    """What each worker serves."""
    from gateway.asgi import end_with_the_server  # noqa: PLC0415

    end_with_the_server()
    sys.path.insert(0, str(EDGE))
    import conftest  # noqa: PLC0415  # granian's worker finds it only now
    from litestar import Request, get, post  # noqa: PLC0415
    from litestar.params import JSONBody  # noqa: PLC0415
    from litestar.response import Stream  # noqa: PLC0415

    from gateway.edge.doorway import Doorway  # noqa: PLC0415
    from gateway.kernel.clock import SystemClock  # noqa: PLC0415
    from gateway.serving.state import show_state  # noqa: PLC0415
    from gateway.serving.worker import on_line  # noqa: PLC0415
    from gateway.telemetry.access import AccessLog  # noqa: PLC0415
    from gateway.telemetry.counters import Counters  # noqa: PLC0415

    if Path(os.environ["SMALL_GATEWAY_REFUSES"]).exists():
        raise RuntimeError("this release does not start")

    @get("/shop/v1/who", opt=conftest.SHOP)
    async def who() -> dict[str, int]:
        return {"pid": os.getpid()}

    @post("/shop/v1/notes", opt=conftest.SHOP)
    async def note(data: JSONBody[dict[str, int]]) -> dict[str, int]:
        await asyncio.sleep(0.02)
        return data

    @get("/shop/v1/events", opt={**conftest.SHOP, "streaming": True})
    async def events(request: Request) -> Stream:
        return Stream(ticking(int(request.headers.get("last-event-id", "0"))), media_type="text/event-stream")

    @get("/shop/v1/download", opt={**conftest.SHOP, "streaming": True})
    async def download() -> Stream:
        return Stream(in_parts(), media_type="application/octet-stream")

    doorway = None

    @asynccontextmanager
    async def lifespan(_app):
        async with on_line(line, doorway, port=int(os.environ["SMALL_GATEWAY_PORT"]), metrics=counters.families):
            yield

    counters = Counters()
    door = conftest.Door(
        {},
        routes=[who, note, events, download],
        observe=AccessLog(counters, SystemClock()),
        lifespan=(lifespan,),
    )
    doorway = Doorway(door.front)
    show_state(counters, doorway, limiters={}, breakers=list, configuration=lambda: 7)
    return doorway


async def ticking(last):
    """An event for every twentieth of a second, numbered by the time: every worker has the same."""
    number = last or int(time.time() * EVENTS_PER_SECOND)
    while True:
        while number < int(time.time() * EVENTS_PER_SECOND):
            number += 1
            yield f"id: {number}\ndata: {number}\n\n".encode()
        await asyncio.sleep(0.01)


async def in_parts():
    for _ in range(PARTS):
        yield PART
        await asyncio.sleep(0.05)


# --- clients ----------------------------------------------------------------------------------------------------------


class Connection:
    """One keep-alive connection that asks again and again, and notices how each request ended."""

    def __init__(self, port, failures):
        self._port = port
        self._failures = failures
        self._reader = self._writer = None
        self.answered = 0
        self.opened = 0

    async def ask(self, raw):
        """One request; it is not repeated. A connection that the server closed between two of them is opened anew."""
        for _ in range(2):
            if self._writer is None:
                self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
                self.opened += 1
            if not self._reader.at_eof():
                break
            self.hang_up()
        self._writer.write(raw)
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            body = await self._reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError) as error:
            self._failures.append(f"{raw[:40]!r}: {error!r} after {self.answered} answers")
            self.hang_up()
            return None
        if not head.startswith(b"HTTP/1.1 2"):
            self._failures.append(f"{raw[:40]!r}: {head!r}{body!r}")
        self.answered += 1
        if b"connection: close" in head.lower():
            self.hang_up()
        return json.loads(body)

    def hang_up(self):
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


def get(path, **headers):
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\n{fields}\r\n".encode()


def post(path, document):
    body = json.dumps(document).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


async def follow_events(port, seen, ends, stop, path="/shop/v1/events", head=get):
    """An event source (HTML 9.2): comes again with the last id it saw when the server ends the stream."""
    while not stop.is_set():
        last = {"last-event-id": seen[-1]} if seen else {}
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head(path, **last))
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200"), answer
        async for event in chunked(reader, ends):
            seen += [int(line[4:]) for line in event.decode().splitlines() if line.startswith("id: ")]
            if stop.is_set():
                break
        writer.close()


async def chunked(reader, ends):
    """The chunks of a chunked body; says in `ends` whether it was whole (RFC 9112, section 7.1)."""
    with suppress(asyncio.IncompleteReadError):
        while size := int(await reader.readuntil(b"\r\n"), 16):
            yield (await reader.readexactly(size + 2))[:-2]
        ends.append("whole")
        return
    ends.append("cut off")


def main():
    port, metrics, workers = (int(word) for word in sys.argv[1:4])
    os.environ["SMALL_GATEWAY_PORT"], os.environ["SMALL_GATEWAY_REFUSES"] = sys.argv[1], sys.argv[4]
    from gateway.asgi import granian_options  # noqa: PLC0415
    from gateway.serving.server import GatewayServer  # noqa: PLC0415

    class Fallible(GatewayServer):
        def _replace_all(self):
            if Path(f"{sys.argv[4]}-rolls").exists():
                raise RuntimeError("a fault of ours")
            super()._replace_all()

    options = granian_options("127.0.0.1", port, workers=workers)
    Fallible(
        f"{Path(__file__).stem}:make_app", pause=0.2, drain=30.0, metrics=("127.0.0.1", metrics), ready=60.0, **options
    ).serve()


if __name__ == "__main__":
    main()
