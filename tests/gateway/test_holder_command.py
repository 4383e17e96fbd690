"""`crossdock holder` on a real record."""

import asyncio
import json

import pytest

from gateway.app import migrate_record
from gateway.cli import main
from gateway.engines.ports import free_port
from gateway.plays.settings_file import write_settings

pytestmark = pytest.mark.integration
_LOCATION = {
    "location": "north",
    "name": "North",
    "region": "na",
    "time_zone": "UTC",
    "holder": "wms",
    "stand_by": "tpl",
    "codes": {"wms": "N", "tpl": "7"},
}


@pytest.fixture
async def settings_file(database, valkey_url, nats_url, urls, tmp_path):
    """Settings of an installation whose only location has a stand-by."""
    own = type(urls)(postgres=database, nats=nats_url, valkey=valkey_url)
    path = tmp_path / "settings.toml"
    write_settings(
        path,
        secrets_folder=tmp_path / "secrets",
        urls=own,
        installation=await migrate_record(database, progress=lambda _: None),
        ports=(free_port(set()), free_port(set())),
        gateway_workers=1,
        demo=None,
        more={"sources": {"wms": {}, "tpl": {}}, "locations": [_LOCATION]},
    )
    return path


async def test_a_location_is_switched_and_listed(settings_file, capsys):
    def run(*arguments):
        status = main(["holder", *arguments, "--settings", str(settings_file), "--json"])
        told = capsys.readouterr()
        return status, json.loads(told.out) if told.out else told.err

    status, listed = await asyncio.to_thread(run, "list")
    assert (status, [(each["holder"], each["since"]) for each in listed["holders"]]) == (0, [("wms", None)])
    status, made = await asyncio.to_thread(run, "switch", "north", "--to", "tpl", "--reason", "the WMS is dead")
    assert (status, made["before"], made["holder"], made["era"]) == (0, "wms", "tpl", 1)
    status, error = await asyncio.to_thread(run, "switch", "north", "--to", "tpl", "--reason", "again")
    assert (status, "already" in error) == (2, True)
    _, listed = await asyncio.to_thread(run, "list")
    [each] = listed["holders"]
    assert (each["holder"], each["declared"], each["awaiting"]) == ("tpl", "wms", True)
    assert each["reason"] == "the WMS is dead"
