"""What a worker keeps, what it leaves out, and that it says so; nothing that was sent as a secret is kept."""

import asyncio
import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.chain import WAY_IN
from gateway.explain.blocks import pack, unpack
from gateway.explain.collecting import MOST_WAITING, Collector
from gateway.explain.options import ExplainOptions
from gateway.explain.reading import answer_of, steps_of
from gateway.explain.record import Record, record_of
from gateway.kernel.clock import SystemClock
from gateway.kernel.context import Principal
from gateway.kernel.errors import Invalid, NotAuthenticated, NotFound, Problem, Throttled, Unavailable
from gateway.kernel.exchange import (
    OUTBOUND_KEY,
    REFUSED_AFTER_KEY,
    Decision,
    Exchange,
    OutboundCall,
    Reply,
    Route,
)
from gateway.telemetry.counters import Counters
from tests.gateway.telemetry.test_access import shown

ID = "req_" + "0" * 32


def exchange(method="GET", status=401, *, error=None, entered=6, path="/x", decisions=None):
    made = Exchange({"type": "http", "method": method, "path": path}, None, 100.0)
    made.path, made.peer, made.request_id, made.correlation_id = path, "192.0.2.7", ID, ID
    made.route = Route(id=f"{method} /x", method=method, template="/x", api="a", version="v1", zone=None)
    made.reply = Reply(status, [(b"ratelimit", b'"burst";r=1;t=2'), (b"set-cookie", b"a=b")], b"body")
    made.error, made.entered, made.decisions = error, entered, decisions
    return made


def recorded(made):
    return record_of(made, 0.0021, epoch=1_800_000_000.0, names=WAY_IN, configuration=3)


class Writer:
    def __init__(self):
        self.blocks = []
        self.down = False

    async def write(self, blocks):
        if self.down:
            raise Unavailable("the record is away")
        self.blocks += blocks

    @property
    def records(self):
        return [record for block in self.blocks if block.kept for record in unpack(block.content).records]


def collector(writer, counters=None, **options):
    return Collector(
        None, SystemClock(), ExplainOptions(**options), worker="w", names=WAY_IN, counters=counters, write=writer.write
    )


def test_a_refused_read_names_its_policy_though_nothing_was_timed():
    record = recorded(exchange(error=NotAuthenticated("send a credential", code="credential.missing"), entered=6))
    assert record.refused_by == WAY_IN[5] == "authenticate"
    steps = steps_of(record, WAY_IN)
    assert [step.policy for step in steps] == list(WAY_IN)
    assert [step.outcome for step in steps] == ["passed"] * 5 + ["refused"] + ["not asked"] * (len(WAY_IN) - 6)
    assert all(step.microseconds is None for step in steps)
    assert answer_of(record) == "401: refused by authenticate with credential.missing"
    assert record.told == {"ratelimit": '"burst";r=1;t=2'}
    assert (record.arrived_ms, record.took_us, record.configuration) == (1_800_000_100_000, 2100, 3)


def test_a_refused_read_has_the_time_until_it_was_refused():
    made = exchange(error=NotAuthenticated("send a credential", code="credential.missing"), entered=6)
    made.notes[REFUSED_AFTER_KEY] = 0.000085
    steps = steps_of(recorded(made), WAY_IN)
    assert [(step.policy, step.microseconds) for step in steps if step.at_most] == [("authenticate", 85.0)]
    assert [step.microseconds for step in steps if not step.at_most] == [None] * (len(WAY_IN) - 1)


def test_the_calls_made_for_a_request_are_kept_and_a_block_of_an_older_release_is_still_read():
    made = exchange("POST", 502)
    made.notes[OUTBOUND_KEY] = [OutboundCall("erp_na", "POST", "outbound.timeout", 3, 1234.5)] * 30
    record = recorded(made)
    assert record.outbound == [("erp_na", "POST", "outbound.timeout", 3, 1234)] * 20
    older = msgspec.msgpack.encode(msgspec.msgpack.decode(msgspec.msgpack.encode(record))[:-2])
    read = msgspec.msgpack.decode(older, type=Record)
    assert (read.request_id, read.outbound, read.refused_us) == (ID, [], 0)


def test_a_write_has_the_time_of_each_policy():
    made = exchange(
        "POST", 201, entered=2, decisions=[Decision("trace", "passed", 1.26), Decision("version", "passed", 3)]
    )
    record = recorded(made)
    assert [step.microseconds for step in steps_of(record, WAY_IN)][:3] == [1.2, 3.0, None]
    assert record.refused_by == ""


@pytest.mark.parametrize(
    ("error", "reached", "entered", "expected"),
    [
        (NotFound("nothing here", code="route.not_found"), False, len(WAY_IN), "router"),
        (NotFound("no such order", code="order.not_found"), True, len(WAY_IN), "handler"),
        (Throttled("slow down", code="rate_limit.exceeded", retry_after=1), False, len(WAY_IN), "line_cost"),
        (Throttled("slow down", code="rate_limit.exceeded", retry_after=1), False, 8, "rate_limit"),
        (ValueError("a bug"), True, len(WAY_IN), "handler"),
    ],
)
def test_who_refused_is_known_by_how_far_it_came(error, reached, entered, expected):
    made = exchange(error=error, entered=entered)
    made.reached_handler = reached
    assert recorded(made).refused_by == expected


def test_the_text_of_an_error_that_is_not_ours_is_not_kept():
    assert "hunter2" not in repr(recorded(exchange(status=500, error=ValueError("password=hunter2"))))


TAIL = "qzqzqzqz"
SECRETS = st.one_of(
    st.from_regex(r"cd[ks]_[a-z0-9_]{12,60}", fullmatch=True),
    st.from_regex(r"eyJ[A-Za-z0-9_-]{10,40}\.[A-Za-z0-9_-]{5,40}\.[A-Za-z0-9_-]{20,90}", fullmatch=True),
    st.from_regex(r"whsec_[A-Za-z0-9+]{20,43}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9_-]{40,90}", fullmatch=True),
).map(lambda text: text + TAIL)


@given(secret=SECRETS, before=st.text(max_size=10), status=st.sampled_from([200, 401, 404, 422, 500]))
def test_no_byte_of_a_credential_gets_into_a_block_wherever_it_was_sent(secret, before, status):
    error = Invalid(f"'{secret}' does not fit", problems=[Problem(f"{before}'{secret}'", pointer=f"/{secret}")])
    made = exchange("POST", status, error=error if status == 422 else None, path=f"/orders/{secret}/lines")
    made.query, made.body = f"access_token={secret}".encode(), secret.encode()
    made.headers = {
        name: secret.encode() for name in (b"authorization", b"x-api-key", b"cookie", b"dpop", b"api-version")
    }
    made.principal = Principal("acme", "cli_1", f"key {secret}", frozenset(), frozenset())
    made.reply.headers.append((b"location", f"/x?{secret}".encode()))
    (block,) = pack(WAY_IN, [recorded(made)])
    kept = repr(unpack(block.content))
    assert TAIL not in kept


@given(text=st.text(st.characters(), max_size=300))
def test_any_text_can_be_packed_and_read_again(text):
    made = exchange(error=Invalid(text, problems=[Problem(text, pointer=text)]), path=text)
    record = recorded(made)
    (block,) = pack(WAY_IN, [record])
    assert unpack(block.content).records == [record]


def test_a_flood_of_refusals_costs_little_each():
    records = []
    for number in range(2000):
        made = exchange(error=Throttled("slow down", code="rate_limit.exceeded", retry_after=1), entered=8)
        made.request_id = made.correlation_id = f"req_{number:08x}" + os.urandom(12).hex()
        records.append(recorded(made))
    (block,) = pack(WAY_IN, records)
    assert len(block.content) < 40 * len(records)


async def test_reads_go_first_then_denials_and_writes_last_when_the_cap_comes_near():
    writer, counters = Writer(), Counters()
    collect = collector(writer, counters, most_bytes=1000)
    asked = {
        "read": lambda: exchange("GET", 200, decisions=[]),
        "denial": lambda: exchange("POST", 401, decisions=[]),
        "write": lambda: exchange("POST", 201, decisions=[]),
    }
    kept = {}
    for used in (499, 500, 750, 1000):
        collect._used = used
        for name, make in asked.items():
            before = len(collect._gathered)
            collect(make(), 0.001)
            kept[used, name] = len(collect._gathered) - before
    assert [kept[used, "read"] for used in (499, 500, 750, 1000)] == [1, 0, 0, 0]
    assert [kept[used, "denial"] for used in (499, 500, 750, 1000)] == [1, 1, 0, 0]
    assert [kept[used, "write"] for used in (499, 500, 750, 1000)] == [1, 1, 1, 0]
    await collect.pack()
    await collect.write()
    (note,) = [block for block in writer.blocks if block.not_kept]
    assert (note.not_kept, note.reason, note.content) == (6, "cap", b"")
    assert 'crossdock_explain_not_kept_total{reason="cap"} 6' in shown(counters)


async def test_what_the_record_does_not_take_waits_and_is_written_once_it_is_back():
    writer = Writer()
    collect = collector(writer)
    writer.down = True
    collect(exchange(), 0.001)
    await collect.pack()
    for _ in range(3):
        with pytest.raises(Unavailable):
            await collect.write()
    writer.down = False
    await collect.write()
    assert len(writer.records) == 1


async def test_what_finds_no_room_while_the_record_is_away_is_counted_and_noted():
    writer, counters = Writer(), Counters()
    collect = collector(writer, counters)
    collect._waiting_bytes = MOST_WAITING
    collect(exchange(), 0.001)
    await collect.pack()
    collect._waiting_bytes = 0
    await collect.write()
    assert [(block.kept, block.not_kept, block.reason) for block in writer.blocks] == [(0, 1, "record")]
    assert 'crossdock_explain_not_kept_total{reason="record"} 1' in shown(counters)


async def test_the_last_words_of_a_worker_are_written():
    writer, sampled = Writer(), []
    collect = Collector(
        None, SystemClock(), worker="w", names=WAY_IN, sample=lambda: sampled.append(1), write=writer.write
    )
    async with collect.collecting():
        collect(exchange(), 0.001)
        await asyncio.sleep(0)
    assert len(writer.records) == 1


async def test_nobody_can_ask_about_what_was_never_named():
    collect = collector(Writer())
    made = exchange()
    made.request_id = ""
    collect(made, 0.001)
    assert collect._gathered == []
