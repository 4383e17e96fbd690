"""A head that is known by its bytes is read as the parser read it, and nothing else is."""

import asyncio

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.outbound.answers import Answer, Broken, KnownHeads, MessageLimits
from gateway.outbound.http1 import Connection

PLAIN = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-a: b\r\n\r\nok"
LIMITS = MessageLimits(fields=4, header_bytes=200, body_bytes=60)
# The last one's length is its head's less two: what a search that found no end could take for a whole answer.
ANSWERS = (
    PLAIN,
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok",
    b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 304 Not Modified\r\ncontent-length: 2\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN,
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-a: b\r\n folded\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\na: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\ncontent-length: 70\r\n\r\n" + b"a" * 70,
    b"HTTP/1.1 200 OK\r\n\r\nto the end",
    b"HTTP/1.1 200 OK\r\ncontent-length: 33\r\n\r\n" + b"a" * 33,
)


class Wire:
    """A transport that is told nothing and keeps nothing but whether it was cut."""

    def __init__(self, connection):
        self._connection = connection
        self.cut = False

    def set_write_buffer_limits(self, high):
        pass

    def write(self, data):
        pass

    def abort(self):
        if not self.cut:
            self.cut = True
            self._connection.connection_lost(None)


def told(heads, parts, *, bodyless=False):
    """What the caller is told of an answer that comes in `parts`, and whether the connection may be used again."""

    async def exchange():
        connection = Connection(asyncio.get_running_loop(), LIMITS, heads)
        wire = Wire(connection)
        connection.connection_made(wire)
        waiting = connection.ask(b"", bodyless=bodyless)
        for part in parts:
            if not wire.cut:
                connection.data_received(part)
        if not wire.cut:
            connection.eof_received() if not waiting.done() else None
        try:
            answer = await waiting
        except Broken as broken:
            return broken.kind, connection.reusable
        return answer.status, list(answer.fields), answer.body, connection.reusable

    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(exchange())
    finally:
        loop.close()


@pytest.fixture(scope="module")
def known():
    """What a connection knows after every one of `ANSWERS`, twice."""
    heads = KnownHeads()
    for said in ANSWERS * 2:
        told(heads, [said])
    return heads


def cut(said, places):
    at = sorted({place % (len(said) + 1) for place in places})
    return [part for part in (said[a:b] for a, b in zip([0, *at], [*at, len(said)], strict=True)) if part]


@given(
    st.sampled_from(ANSWERS),
    st.sampled_from([b"", b"\r", b"x", PLAIN]) | st.binary(max_size=4),
    st.lists(st.integers(0, 200), max_size=3),
    st.integers(0, 120),
    st.booleans(),
)
@example(PLAIN, b"", [], 0, False)
@example(PLAIN, b"x", [], 0, False)
def test_what_is_known_changes_nothing_that_a_caller_is_told(known, said, behind, places, lost, bodyless):
    parts = cut(said[: len(said) - lost] + behind if lost < len(said) else behind, places)
    fresh = told(KnownHeads(), parts, bodyless=bodyless)
    assert told(known, parts, bodyless=bodyless) == fresh


@pytest.mark.parametrize("said", ANSWERS[:3])
def test_a_plain_answer_is_known_when_it_comes_again(known, said):
    answer = known.answer(said)
    assert answer is not None
    assert answer.status == int(said[9:12])


@pytest.mark.parametrize("said", ANSWERS[3:-1])
def test_what_says_more_than_a_length_stays_with_the_parser(known, said):
    assert known.answer(said) is None


def test_half_a_head_is_never_taken_for_a_known_one(known):
    head = ANSWERS[-1][: ANSWERS[-1].index(b"\r\n\r\n")]
    assert all(known.answer(head + rest) is None for rest in (b"\r", b"\n", b"x", b"\r\n", b"\r\n\r"))


def test_heads_that_never_come_again_are_not_kept_and_those_that_do_do_not_pile_up():
    heads, answer = KnownHeads(), Answer(200, ((b"content-length", b"2"),), b"ok")
    said = [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\netag: %d\r\n\r\nok" % number for number in range(2000)]
    for each in said:
        assert heads.answer(each) is None
        heads.learn(each, answer)
    assert len(heads) == 0
    for each in said:
        for _ in range(3):
            if heads.answer(each) is None:
                heads.learn(each, answer)
    assert 0 < len(heads) <= 1024
    assert heads.answer(said[-1]) == answer
