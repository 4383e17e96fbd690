"""A server on real sockets that misbehaves in every way it can, and what its callers are told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import BrokenUpstream, Misconfigured, OutcomeUnknown, Unavailable
from gateway.kernel.exchange import OUTBOUND_KEY, Exchange
from gateway.outbound.answers import MessageLimits
from gateway.outbound.limits import UpstreamLimits
from gateway.outbound.targets import TargetRules
from gateway.outbound.upstream import Upstream

pytestmark = pytest.mark.integration
LOOPBACK = TargetRules(networks=("127.0.0.0/8",))
FINE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


class Server:
    """Answers each request head with the next of `says` (bytes, or None to hang up, or an event to wait for)."""

    def __init__(self):
        self.says = []
        self.seen = 0
        self.connections = 0
        self.close_after = False
        self.port = 0
        self._open = []

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self):
        self._server.close()
        for writer in self._open:
            writer.transport.abort()
        await asyncio.sleep(0.01)

    async def has_seen(self, count):
        async with asyncio.timeout(30):
            while self.seen < count:  # noqa: ASYNC110 - it is polled for by one test at a time
                await asyncio.sleep(0.005)

    async def _serve(self, reader, writer):
        self.connections += 1
        self._open.append(writer)
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.seen += 1
                said = self.says.pop(0) if self.says else FINE
                if isinstance(said, asyncio.Event):
                    await said.wait()
                    said = FINE
                if said is None:
                    return
                writer.write(said)
                await writer.drain()
                if self.close_after:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    running = Server()
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def make(server, clock):
    """Upstreams whose clock stands still: what the machine is held up by ages no connection and ends no breaker."""
    made = []

    def one(**limits):
        upstream = Upstream(
            "legacy",
            f"http://127.0.0.1:{server.port}",
            clock,
            limits=UpstreamLimits(**{"connect_timeout": 30.0, **limits}),
            rules=LOOPBACK,
            contact="the items team",
        )
        made.append(upstream)
        return upstream

    yield one
    for upstream in made:
        await upstream.close()


def ask(upstream, request=GET, *, safe=True, seconds=10.0, bodyless=False):
    return upstream.ask(request, deadline=upstream._monotonic() + seconds, safe=safe, bodyless=bodyless)


async def test_one_connection_serves_many_requests_in_turn(make, server):
    upstream = make()
    for _ in range(5):
        assert (await ask(upstream)).body == b"ok"
    assert (server.seen, server.connections) == (5, 1)


@pytest.mark.parametrize(
    "said",
    [
        b"garbage\r\n\r\n",
        b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: xchunked\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-a: a\r\n folded\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
        b"HTTP/1.1 200 OK\r\nx-a: a\rb\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nx-a: a\0b\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length : 2\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nbytes",
        b"HTTP/1.1 200 OK\r\nx-long: " + b"a" * 70_000 + b"\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n" + b"x-many: 1\r\n" * 200 + b"content-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + b"a" * 100_000,
    ],
)
async def test_an_answer_that_can_be_read_in_two_ways_or_is_too_large_is_refused(make, server, said):
    upstream = make(answer=MessageLimits(body_bytes=50_000))
    server.says = [said]
    with pytest.raises(BrokenUpstream) as refused:
        await ask(upstream)
    assert refused.value.code == "outbound.unreadable"
    assert "the items team" in refused.value.detail
    assert (await ask(upstream)).body == b"ok"
    assert server.connections == 2


async def test_bytes_behind_an_answer_never_become_the_next_callers_answer(make, server):
    upstream = make()
    server.says = [FINE + b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison"]
    assert (await ask(upstream)).body == b"ok"
    assert (await ask(upstream)).body == b"ok"
    assert server.connections == 2


@pytest.mark.parametrize("status", ["200 OK", "304 Not Modified"])
async def test_an_answer_to_head_has_no_body_and_its_connection_serves_on(make, server, status):
    upstream = make()
    server.says = [f"HTTP/1.1 {status}\r\ncontent-length: 5\r\n\r\n".encode()]
    answer = await ask(upstream, b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n", bodyless=True)
    assert (answer.body, dict(answer.fields)[b"content-length"]) == (b"", b"5")
    assert (await ask(upstream)).body == b"ok"
    assert server.connections == 1


async def test_interim_answers_are_passed_over(make, server):
    server.says = [b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + FINE]
    answer = await ask(make())
    assert (answer.status, dict(answer.fields)) == (200, {b"content-length": b"2"})


async def test_a_body_without_a_length_ends_with_its_connection(make, server):
    server.says, server.close_after = [b"HTTP/1.1 200 OK\r\n\r\nto the end"], True
    assert (await ask(make())).body == b"to the end"


@pytest.mark.parametrize("said", [b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", b"HTTP/1.1 200 OK\r\ncont"])
@pytest.mark.parametrize("safe", [True, False])
async def test_an_answer_cut_short_is_never_taken_for_whole(make, server, said, safe):
    server.says, server.close_after = [said] * 2, True
    with pytest.raises(Unavailable if safe else OutcomeUnknown):
        await ask(make(), safe=safe)
    assert server.seen == (2 if safe else 1)


async def test_silence_is_unavailable_for_a_read_and_unknown_for_a_change(make, server, clock):
    upstream = make(timeout=5.0)
    server.says = [asyncio.Event(), asyncio.Event()]

    async def unanswered(count, *, safe):
        asked = asyncio.create_task(ask(upstream, safe=safe))
        await server.has_seen(count)
        clock.advance(5.1)
        await asked

    with pytest.raises(Unavailable) as late:
        await unanswered(1, safe=True)
    assert late.value.code == "outbound.timeout"
    with pytest.raises(OutcomeUnknown):
        await unanswered(2, safe=False)
    assert server.seen == 2


async def test_nobody_there_is_told_and_after_a_while_the_breaker_refuses_at_once(make, server):
    upstream = make(breaker_failures=3, retries=0)
    await server.stop()
    for _ in range(3):
        with pytest.raises(Unavailable) as refused:
            await ask(upstream, safe=False)
        assert refused.value.code == "outbound.unreachable"
    with pytest.raises(Unavailable) as refused:
        await ask(upstream)
    assert refused.value.code == "outbound.breaker_open"


async def test_whoever_asks_is_told_of_it_but_not_of_a_read_that_went_well(make, server):
    def asking(*, recorded=False):
        exchange = Exchange({"type": "http", "method": "GET"}, None, 0.0)
        exchange.decisions = [] if recorded else None
        return exchange

    async def told(exchange, **given):
        with suppress(Unavailable, OutcomeUnknown):
            await upstream.ask(GET, deadline=upstream._monotonic() + 10, asked_by=exchange, **given)
        calls = exchange.notes.get(OUTBOUND_KEY, [])
        return [(call.system, call.method, call.outcome, call.attempts) for call in calls]

    upstream = make(retries=1)
    assert await told(asking(), safe=True) == []
    assert await told(asking(recorded=True), safe=True) == [("legacy", "GET", "200", 1)]
    server.says = [None]
    assert await told(asking(), safe=True) == [("legacy", "GET", "200", 2)]
    server.says = [b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"]
    assert await told(asking(), safe=True) == [("legacy", "GET", "404", 1)]
    server.says = [None]
    assert await told(asking(), safe=False) == [("legacy", "GET", "outbound.outcome_unknown", 1)]
    await server.stop()
    assert await told(asking(), safe=False) == [("legacy", "GET", "outbound.unreachable", 2)]


async def test_a_restart_between_two_requests_is_not_noticed(make, server):
    upstream = make()
    await ask(upstream)
    await server.stop()
    await server.start()
    assert (await ask(upstream, safe=False)).body == b"ok"
    assert (await ask(upstream)).body == b"ok"


async def test_a_kept_connection_that_breaks_unanswered_repeats_only_what_may_be_repeated(make, server):
    upstream = make()
    await ask(upstream)
    server.says = [None]
    assert (await ask(upstream)).body == b"ok"
    server.says = [None]
    with pytest.raises(OutcomeUnknown):
        await ask(upstream, safe=False)


async def test_a_slow_server_holds_its_own_slots_and_nothing_else(make, server):
    upstream = make(concurrency=1, queue=1)
    server.says = [free := asyncio.Event()]
    first = asyncio.create_task(ask(upstream))
    await server.has_seen(1)
    second = asyncio.create_task(ask(upstream))
    await asyncio.sleep(0)  # until it waits for the first
    with pytest.raises(Unavailable) as refused:
        await ask(upstream)
    assert refused.value.code == "outbound.bulkhead_full"
    free.set()
    assert [(await task).body for task in (first, second)] == [b"ok", b"ok"]


async def test_a_caller_that_leaves_gives_its_slot_back(make, server):
    upstream = make(concurrency=1)
    server.says = [asyncio.Event()]
    leaving = asyncio.create_task(ask(upstream))
    await server.has_seen(1)
    leaving.cancel()
    assert (await ask(upstream)).body == b"ok"


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "64:ff9b::7f00:1"])
async def test_a_name_that_is_pointed_inward_later_is_not_followed(server, address):
    async def resolve(host, port):
        return [address]

    upstream = Upstream("legacy", f"http://api.example:{server.port}", SystemClock(), resolve=resolve)
    with pytest.raises(BrokenUpstream) as refused:
        await ask(upstream)
    assert refused.value.code == "outbound.private_target"
    assert server.connections == 0


async def test_the_address_that_was_checked_is_the_one_connected_to(server):
    async def resolve(host, port):
        return ["127.0.0.1"]

    upstream = Upstream("legacy", f"http://api.example:{server.port}", SystemClock(), resolve=resolve, rules=LOOPBACK)
    assert (await ask(upstream)).body == b"ok"
    await upstream.close()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.0.0.1", "[::1]", "2130706433", "0x7f000001", "0177.0.0.1", "[::ffff:10.0.0.1]"]
)
def test_a_private_or_disguised_address_in_settings_does_not_start(host):
    with pytest.raises(Misconfigured):
        Upstream("legacy", f"http://{host}/", SystemClock())
