"""The way to who receives webhooks, over real sockets."""

import asyncio

import pytest

from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import NotAllowed
from gateway.outbound.answers import Broken
from gateway.outbound.breakage import Breakage
from gateway.outbound.receivers import Receivers
from gateway.outbound.targets import TargetRules

from .scripted_receiver import NO_CONTENT, Receiver

pytestmark = pytest.mark.integration
RULES = TargetRules(loopback=True)


@pytest.fixture
async def receivers():
    found = Receivers(SystemClock())
    yield found
    await found.close()


async def post(receivers, url, body=b"{}"):
    return await receivers.post(url, RULES, b"webhook-id: m\r\n", body)


async def test_messages_one_after_the_other_share_a_connection(receivers):
    async with Receiver(NO_CONTENT) as there:
        for number in range(3):
            answer = await post(receivers, there.url("/in?x=%20y"), b"%d" % number)
            assert answer.status == 204
        [got] = there.connections
        assert [each.rpartition(b"\r\n\r\n")[2] for each in got] == [b"0", b"1", b"2"]
        assert got[0].startswith(b"POST /in?x=%20y HTTP/1.1\r\nhost: 127.0.0.1:")
        assert b"\r\nwebhook-id: m\r\n" in got[0]


async def test_an_answer_with_a_body_leaves_the_connection_fit_for_the_next(receivers):
    whole = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    in_parts = (b"HTTP/1.1 200 OK\r\nretry-after: 7\r\ncontent-length: 2\r\n\r\n", b"o", b"k")
    async with Receiver(whole, in_parts, NO_CONTENT) as there:
        statuses = [(await post(receivers, there.url())).status for _ in range(3)]
        assert statuses == [200, 200, 204]
        assert len(there.connections) == 1


async def test_an_answer_of_any_size_is_an_answer_and_ends_its_connection(receivers):
    large = b"HTTP/1.1 500 No\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 1_000_000
    async with Receiver(large, NO_CONTENT) as there:
        assert (await post(receivers, there.url())).status == 500
        assert (await post(receivers, there.url())).status == 204
        assert len(there.connections) == 2


async def test_a_kept_connection_that_was_closed_there_costs_a_new_one_and_no_attempt(receivers):
    async with Receiver(NO_CONTENT, None, NO_CONTENT) as there:
        for _ in range(2):
            assert (await post(receivers, there.url())).status == 204
        assert [len(got) for got in there.connections] == [2, 1]


async def test_a_new_connection_that_breaks_is_no_answer(receivers):
    async with Receiver(None) as there:
        with pytest.raises(Broken) as broken:
            await post(receivers, there.url())
        assert broken.value.kind is Breakage.CUT
        assert len(there.connections) == 1


async def test_nobody_listening_is_told_as_not_sent(receivers):
    async with Receiver(NO_CONTENT) as there:
        url = there.url()
    with pytest.raises(Broken) as broken:
        await post(receivers, url)
    assert broken.value.kind is Breakage.NOT_SENT


async def test_who_may_not_be_asked_any_more_is_not_asked_over_a_kept_connection(receivers):
    async with Receiver(NO_CONTENT) as there:
        await post(receivers, there.url())
        with pytest.raises(NotAllowed):
            await receivers.post(there.url(), TargetRules(plain_http=True), b"", b"")
        assert [len(got) for got in there.connections] == [1]


async def test_a_caller_who_gives_up_leaves_no_connection_behind(receivers):
    async with Receiver(b"") as there:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await post(receivers, there.url())
        there.answers = [NO_CONTENT]
        assert (await post(receivers, there.url())).status == 204
        assert len(there.connections) == 2


async def test_at_most_eight_at_once_go_to_one_receiver(receivers):
    async with Receiver(NO_CONTENT) as there:
        await asyncio.gather(*(post(receivers, there.url()) for _ in range(40)))
        assert len(there.connections) <= 8
        assert sum(map(len, there.connections)) == 40
