"""Changes and refusals are kept, floods become counts, and only sampled reads may be lost."""

import asyncio
from pathlib import Path

import pytest

import gateway.store as store_package
from gateway.kernel.context import Principal
from gateway.kernel.errors import NotAllowed, Unavailable
from gateway.kernel.exchange import Decision, Exchange, Reply, Route
from gateway.store.migrations import find_migrations, migrate
from gateway.store.postgres import Store
from policies.audit.options import AuditOptions
from policies.audit.policy import Audit
from policies.audit.store import writes_to


class Hands:
    def __init__(self):
        self.at = 0.0

    def monotonic(self):
        return self.at


class Record:
    def __init__(self):
        self.entries = []
        self.down = False

    async def write(self, entries):
        if self.down:
            raise Unavailable("down")
        self.entries.extend(entries)


def exchange(method, status, *, error=None, peer="192.0.2.7"):
    request = Exchange({"type": "http", "method": method, "path": "/x"}, None, 0.0)
    request.path, request.peer, request.request_id, request.correlation_id = "/x", peer, "req_1", "cor_1"
    request.route = Route(id=f"{method} /x", method=method, template="/x", api="a", version="v1", zone=None)
    request.reply = Reply(status, [], b"")
    request.error = error
    return request


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  # what is waited for has no event of its own
            await asyncio.sleep(0.01)


async def test_a_change_is_kept_with_its_decisions_and_without_its_content():
    record = Record()
    audit = Audit(record.write, Hands(), AuditOptions(read_sample=0))
    request = exchange("POST", 201)
    request.principal = Principal("acme", "p1", "key-1", frozenset(), frozenset())
    request.decisions = [Decision("authenticate", "passed", 3.21)]
    request.body, request.headers = b"secret", {b"authorization": b"Bearer secret"}
    async with audit.queue.writing():
        assert audit.conclude(request) is None
        audit.conclude(exchange("GET", 200))
    (entry,) = record.entries
    assert (entry.tenant, entry.actor, entry.action, entry.subject) == ("acme", "p1", "POST", "POST /x")
    assert (entry.outcome, entry.correlation_id) == ("201", "cor_1")
    assert entry.detail["decisions"][0]["policy"] == "authenticate"
    assert "secret" not in repr(entry)


async def test_a_flood_of_denials_becomes_a_count():
    record, hands = Record(), Hands()
    audit = Audit(record.write, hands, AuditOptions(denials_each=3, denial_window=60))
    denied = NotAllowed("no", code="authorise.scope")
    async with audit.queue.writing():
        for _ in range(50):
            audit.conclude(exchange("GET", 403, error=denied))
        audit.conclude(exchange("GET", 403, error=denied, peer="198.51.100.1"))
        hands.at = 61.0
        audit.conclude(exchange("GET", 403, error=denied))
    whole = [entry for entry in record.entries if entry.action == "GET"]
    counts = [entry.detail["count"] for entry in record.entries if entry.action == "denied"]
    assert len(whole) == 5
    assert counts == [47]


async def test_many_different_denials_stay_bounded():
    audit = Audit(Record().write, Hands(), AuditOptions(queue=50))
    for number in range(20_000):
        audit.conclude(exchange("GET", 401, error=NotAllowed("no"), peer=f"peer{number}"))
    assert len(audit._denials) <= 10_001
    assert audit.queue.lost > 0


async def test_while_the_record_is_down_entries_wait_and_are_written_later():
    record = Record()
    record.down = True
    audit = Audit(record.write, Hands())
    async with audit.queue.writing():
        audit.conclude(exchange("POST", 201))
        await asyncio.sleep(0.3)
        record.down = False
        await until(lambda: record.entries)


async def test_without_room_reads_are_dropped_and_changes_wait_then_go_to_the_log(caplog):
    record = Record()
    audit = Audit(record.write, Hands(), AuditOptions(queue=2, patience=0.05, read_sample=1.0))
    audit.conclude(exchange("POST", 201))
    audit.conclude(exchange("GET", 200))
    assert audit.queue.lost == 1
    audit.conclude(exchange("POST", 201))
    waiting = audit.conclude(exchange("POST", 201))
    await waiting
    assert audit.queue.lost == 2
    assert "only here" in caplog.text


async def test_what_cannot_be_written_at_the_end_is_logged(caplog):
    record = Record()
    record.down = True
    audit = Audit(record.write, Hands(), AuditOptions(patience=0.05))
    async with audit.queue.writing():
        audit.conclude(exchange("POST", 201))
    assert audit.queue.lost == 1
    assert "req_1" in caplog.text


@pytest.mark.integration
async def test_entries_reach_the_record(database):
    await migrate(database, find_migrations([Path(store_package.__file__).parent / "migrations"]))
    store = Store(database, size=2)
    await store.open()
    try:
        audit = Audit(writes_to(store), Hands())
        async with audit.queue.writing():
            audit.conclude(exchange("POST", 201))
            audit.conclude(exchange("DELETE", 404, error=NotAllowed("no", code="x.y")))
        rows = await store.fetch(
            "select action, outcome, detail->>'request_id' as request from store.audit order by id"
        )
        assert [tuple(row) for row in rows] == [("POST", "201", "req_1"), ("DELETE", "x.y", "req_1")]
    finally:
        await store.close()
