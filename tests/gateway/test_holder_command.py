"""`crossdock holder` on a real record."""

import asyncio
import json

import pytest

from gateway.cli import main

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
async def settings_file(install):
    """Settings of an installation whose only location has a stand-by."""
    return await install({"sources": {"wms": {}, "tpl": {}}, "locations": [_LOCATION]})


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
