"""`crossdock exceptions` on a real record: what it prints, and how it ends."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from gateway.app import component_migrations
from gateway.canonical.events import Event
from gateway.cli import main
from gateway.store.log import append
from gateway.store.postgres import Store

pytestmark = pytest.mark.integration


@pytest.fixture
async def typed(records, valkey_url, tmp_path, capsys):
    """Types the command; gives its exit status, what it printed, and what it said beside."""
    async with records.lent(component_migrations()) as url:
        store = Store(url, size=2)
        await store.open()
        secrets = {"url": url, "cache": valkey_url, "key": "a master key of these tests, long enough to be one"}
        for name, text in secrets.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
            (tmp_path / name).chmod(0o600)
        installation = await store.fetchval("select installation_id::text from store.installation")
        settings = tmp_path / "settings.toml"
        settings.write_text(
            f'tenant = "acme"\n[store]\nurl = "file:{tmp_path}/url"\ninstallation = "{installation}"\n'
            f'[backbone]\nurl = "file:{tmp_path}/url"\n[cache]\nurl = "file:{tmp_path}/cache"\n'
            f'[secrets]\nkeys = {{ 1 = "file:{tmp_path}/key" }}\n',
            encoding="utf-8",
        )

        async def run(*words):
            words = words if words[0] == "replay" else ("exceptions", *words)
            status = await asyncio.to_thread(main, [*words, "--settings", str(settings)])
            told = capsys.readouterr()
            return status, told.out, told.err

        run.store = store
        yield run
        await store.close()


async def raise_one(store):
    """A report that waits for an item, and its entry."""
    await store.execute(
        "insert into availability.parked (tenant, source, event_id, line, fingerprint, kind, cause, detail, mendable,"
        " payload) values ('acme', 'wms_north', 'e-1', 0, '', 'movement', 'stock.item_unknown', 'no X-9', true, $1)",
        json.dumps({"type": "pick_confirmed", "source_item": "X-9", "operator_email": "sam@wms.test"}),
    )
    await store.execute(
        "insert into exceptions.entry (entry, tenant, kind, key, error_class, effect, fault_domain, code, detail,"
        " about, rank, count, verbs, raised_at, last_at, seen, state, version)"
        " select 'xcp_1', 'acme', 'parked', availability.waiting_key(source, kind, cause, detail), 'mapping',"
        " 'oversells', source, cause, detail, 'e-1', 90, 1, '{retry,edit,ignore}', parked_at, parked_at, 1, 'open', 1"
        " from availability.parked"
    )


async def test_exceptions_are_listed_shown_assigned_retried_and_ignored(typed):
    assert await typed("list") == (0, "0 listed, 0 wait for a person\n", "")
    await raise_one(typed.store)
    status, out, _ = await typed("list", "--class", "mapping", "--fault-domain", "wms_north")
    assert status == 1
    assert all(word in out for word in ("xcp_1", "stock.item_unknown", "1 wait for a person"))
    status, out, _ = await typed("assign", "xcp_1", "--to", "ada")
    assert (status, out) == (0, "xcp_1: assign is done; it is assigned, ada's\n")
    status, out, _ = await typed("show", "xcp_1")
    assert "X-9" in out
    assert "sam@wms.test" not in out
    status, out, _ = await typed("retry", "xcp_1", "--json")
    assert (status, json.loads(out)["state"]) == (0, "retrying")
    status, _, told = await typed("retry", "xcp_1")
    assert status == 2
    assert "wait for what comes of it" in told
    status, out, _ = await typed("ignore", "xcp_1", "--reason", "a test of theirs")
    assert status == 0
    status, out, _ = await typed("list", "--state", "ignored", "--json")
    assert (status, json.loads(out)["exceptions"][0]["reason"]) == (0, "a test of theirs")


async def test_many_are_planned_started_and_cancelled_at_once(typed):
    await raise_one(typed.store)
    status, out, _ = await typed(
        "bulk", "plan", "--do", "ignore", "--reason", "a test of theirs", "--class", "mapping",
        "--before", "2036-01-01T00:00:00Z", "--json",
    )  # fmt: skip
    [planned] = json.loads(out)["bulks"]
    assert (status, planned["size"], planned["state"]) == (0, 1, "planned")
    assert json.loads((await typed("bulk", "start", planned["id"], "--json"))[1])["bulks"][0]["state"] == "running"
    assert "running" in (await typed("bulk", "list"))[1]
    assert (await typed("bulk", "cancel", planned["id"]))[0] == 0
    assert "cancelled already" in (await typed("bulk", "cancel", planned["id"]))[2]
    status, _, told = await typed("bulk", "plan", "--do", "retry", "--reason", "r", "--code", "none")
    assert (status, "widen the filter" in told) == (2, True)


async def test_what_is_wrong_is_said(typed, tmp_path):
    assert "no such exception" in (await typed("list", "--class", "none"))[2]
    assert "look it up in the list" in (await typed("retry", "xcp_none"))[2]
    (tmp_path / "odd").write_text("[]")
    status, _, told = await typed("edit", "xcp_1", "--payload", f"{tmp_path}/odd", "--version", "1", "--reason", "r")
    assert (status, "no JSON object" in told) == (2, True)


async def test_a_replay_is_counted_asked_for_shown_and_cancelled(typed):
    now = datetime.now(UTC)
    event = Event(
        tenant="acme", type="order.accepted", aggregate="ord_1", aggregate_version=1, occurred_at=now, data={},
        correlation_id="c",
    )  # fmt: skip
    async with typed.store.transaction() as connection:
        await append(connection, [event])
    await typed.store.execute(
        "insert into store.consumer select 'partner_notifications', log_epoch, transaction_id, id from store.event"
    )
    since = (now - timedelta(hours=1)).isoformat()
    whose = ("replay", "--consumer", "partner_notifications", "--from", since, "--to", "2100-01-01T00:00:00Z")
    status, out, _ = await typed(*whose, "--dry-run")
    assert (status, "1  order.accepted" in out) == (0, True)
    assert "0 would be handled, 1 were handled before and dropped" in out
    status, out, _ = await typed(*whose, "--dry-run", "--again", "--filter", "type=order.held", "--json")
    assert json.loads(out) == {"by_type": {}, "handled": 0, "dropped": 0, "dry_run": True}
    status, out, _ = await typed(*whose, "--again", "--reason", "they lost them", "--no-wait", "--json")
    assert (status, json.loads(out)["state"]) == (0, "running")
    name = json.loads(out)["replay"]
    assert "is running: 0 events" in (await typed("replay", "--show", name))[1]
    assert "is cancelled" in (await typed("replay", "--cancel", name))[1]
    for words, said in (
        (("replay",), "partner_notifications"),
        (whose, "say why"),
        (("replay", "--consumer", "partner_notifications"), "say from when"),
        ((*whose, "--filter", "odd"), "a filter is"),
        ((*whose[:3], "--from", "2020-01-01"), "30 days at most"),
    ):
        status, _, told = await typed(*words)
        assert (status, said in told) == (2, True), told
