"""`crossdock reconcile` on a real record: what it prints, and how it ends."""

import asyncio
import json

import pytest

from gateway.app import component_migrations
from gateway.cli import main
from gateway.store.migrations import migrate
from gateway.store.postgres import Store

pytestmark = pytest.mark.integration
LOCATION = """
[systems.wms_north]
product = "regional_wms"
[systems.wms_north.settings]
base_url = "http://127.0.0.1:1"
api_key = "file:{folder}/key"
webhook_secret = "file:{folder}/key"
[[locations]]
location = "loc_n"
name = "North"
region = "na"
time_zone = "UTC"
holder = "wms_north"
codes = {{ wms_north = "NOR1" }}
"""


@pytest.fixture
async def record(database):
    await migrate(database, component_migrations())
    store = Store(database, size=2)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def typed(record, database, valkey_url, tmp_path, capsys):
    """Types the command; gives its exit status, what it printed, and what it said beside."""
    secrets = {"url": database, "cache": valkey_url, "key": "a master key of these tests, long enough to be one"}
    for name, text in secrets.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / name).chmod(0o600)
    installation = await record.fetchval("select installation_id::text from store.installation")
    settings = tmp_path / "settings.toml"
    settings.write_text(
        f'tenant = "acme"\n[store]\nurl = "file:{tmp_path}/url"\ninstallation = "{installation}"\n'
        f'[backbone]\nurl = "file:{tmp_path}/url"\n[cache]\nurl = "file:{tmp_path}/cache"\n'
        f'[secrets]\nkeys = {{ 1 = "file:{tmp_path}/key" }}\n' + LOCATION.format(folder=tmp_path),
        encoding="utf-8",
    )

    async def run(*words):
        status = await asyncio.to_thread(main, ["reconcile", *words, "--settings", str(settings)])
        told = capsys.readouterr()
        return status, told.out, told.err

    return run


async def raise_one(record):
    await record.execute(
        "insert into reconciliation.run (run, tenant, what, asked_by, state)"
        " values ('run_1', 'acme', 'stock', 'x', 'done')"
    )
    await record.execute(
        "insert into reconciliation.finding (finding, tenant, run, what, against, scope, class, source, location, sku,"
        " reported, expected, amount, state) values ('rec_1', 'acme', 'run_1', 'stock', 'erp', 'erp/run_1',"
        " 'source_only', 'wms_north', 'loc_n', 'PUMP', 97, 100, -3, 'open')"
    )


async def test_it_says_what_was_compared_and_keeps_the_run_unless_it_is_dry(typed, record):
    status, out, _ = await typed("--dry-run")
    assert (status, "nothing was written down" in out) == (0, True)
    assert await record.fetchval("select count(*) from reconciliation.run") == 0
    for what in ("stock", "orders", "shipments"):
        status, out, _ = await typed("--what", what, "--json")
        assert (status, json.loads(out)["run"]["what"]) == (0, what)
    kept = await record.fetch("select state, asked_by from reconciliation.run")
    assert [row["state"] for row in kept] == ["done", "done", "done"]
    assert kept[0]["asked_by"].startswith("shell/")
    status, _, err = await typed("--source", "wms_nroth")
    assert (status, "wms_north" in err) == (2, True)


async def test_what_waits_for_a_person_and_what_does_not_answer_end_it_with_1(typed, record):
    status, _, err = await typed("--fresh")
    assert (status, "not finished" in err) == (1, True)
    assert await record.fetchval("select state from reconciliation.run") == "failed"
    await raise_one(record)
    status, out, _ = await typed("--location", "loc_n", "--source", "wms_north")
    assert status == 1
    assert all(text in out for text in ("CLASS", "source_only", "PUMP", "-3", "rec_1", "1 wait for a person"))
    status, out, _ = await typed("--json")
    (finding,) = json.loads(out)["findings"]
    assert (status, finding["id"], finding["amount"]) == (1, "rec_1", "-3")
