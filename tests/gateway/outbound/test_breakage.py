"""On real sockets: what a broken exchange proves. A reset after sending must never look like a refused connection."""

import asyncio
import contextlib
import gzip
import time

import pytest

from gateway.canonical.capabilities import Call
from gateway.kernel.errors import BrokenUpstream, OutcomeUnknown, Unavailable
from gateway.outbound.door import Outbound
from gateway.outbound.limits import SystemLimits

pytestmark = pytest.mark.integration


ZIPPED = gzip.compress(b"x" * 100_000)


class Peer:
    """Reads one request at a time and does to its connection what the path says."""

    def __init__(self):
        self.received = 0

    async def __call__(self, reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if b"content-length: 2" in head.lower():
                    await reader.readexactly(2)
                self.received += 1
                deed = head.split(b" ")[1].decode().strip("/")
                if not await self.do(deed, writer):
                    break
        writer.close()

    async def do(self, deed, writer):
        if deed == "reset":
            writer.transport.abort()
            return False
        if deed == "half":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
            await writer.drain()
            return False
        if deed == "close":
            return False
        answers = {
            "garbage": b"this is no HTTP\r\n\r\n",
            "zip": b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(ZIPPED) + ZIPPED,
            "badzip": b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc",
            "away": b"HTTP/1.1 307 Temporary\r\nlocation: /ok\r\ncontent-length: 0\r\n\r\n",
        }
        writer.write(answers.get(deed, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"))
        await writer.drain()
        return deed != "garbage"


@pytest.fixture
async def peer():
    peer = Peer()
    server = await asyncio.start_server(peer, "127.0.0.1", 0)
    peer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield peer
    server.close()


@pytest.fixture
async def session(peer):
    async with Outbound() as outbound:
        yield outbound.session("erp", peer.url, SystemLimits(retries=0, breaker_failures=100))


def call():
    return Call(tenant="acme", correlation_id="cor_1", deadline=time.monotonic() + 60)


@pytest.mark.parametrize("deed", ["reset", "close", "half", "garbage", "badzip"])
@pytest.mark.parametrize("kept", [False, True], ids=["new-connection", "kept-connection"])
async def test_a_change_that_was_sent_is_unknown_however_the_connection_ends(session, peer, deed, kept):
    if kept:
        await session.request("GET", "/ok", call=call(), safe=True)
    before = peer.received
    with pytest.raises(OutcomeUnknown):
        await session.request("POST", f"/{deed}", call=call(), body=b"{}", safe=False)
    assert peer.received == before + 1


@pytest.mark.parametrize(
    ("deed", "expected"),
    [
        ("reset", Unavailable),
        ("close", Unavailable),
        ("half", Unavailable),
        ("garbage", BrokenUpstream),
        ("badzip", BrokenUpstream),
    ],
)
async def test_a_read_says_whether_to_try_again_or_to_page_someone(session, deed, expected):
    with pytest.raises(expected):
        await session.request("GET", f"/{deed}", call=call(), safe=True)


async def test_a_refused_connection_proves_that_nothing_was_sent():
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    taken.close()
    await taken.wait_closed()
    async with Outbound() as outbound:
        with pytest.raises(Unavailable):
            await outbound.session("erp", f"http://127.0.0.1:{port}").request("POST", "/", call=call(), safe=False)


async def test_a_compressed_answer_is_unpacked_once_and_counted_unpacked(peer):
    async with Outbound() as outbound:
        session = outbound.session("erp", peer.url, SystemLimits(max_response_bytes=100_000))
        assert (await session.request("GET", "/zip", call=call(), safe=True)).body == b"x" * 100_000
        small = outbound.session("small", peer.url, SystemLimits(max_response_bytes=99_999))
        with pytest.raises(BrokenUpstream):
            await small.request("GET", "/zip", call=call(), safe=True)


async def test_a_redirect_is_an_answer_and_is_not_followed(session, peer):
    assert (await session.request("POST", "/away", call=call(), body=b"{}", safe=False)).status == 307
    assert peer.received == 1


async def test_a_request_that_timed_out_gives_its_connection_up(session, peer):
    with pytest.raises(Unavailable):
        await session.request("GET", "/ok", call=call(), safe=True, timeout=0.000001)
    assert (await session.request("GET", "/ok", call=call(), safe=True)).body == b"ok"
