"""Master data over the wire and by the command: files, whose word they are, and a location that is used at once."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import httpx
import pytest
from running_gateway import SKUS, TENANT, RunningGateway

from gateway.app import administer
from gateway.identity.clients import add_api_key, add_client
from gateway.identity.grants import ClientKind
from gateway.settings import load_settings

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("contract")]
SCOPES = (
    "items:write",
    "items:read",
    "locations:read",
    "locations:write",
    "stock:write",
    "source:pim",
    "source:wms_north",
)
ITEMS = "/process/items/v1/imports"
FILE = "sku,name,base_uom,gtin\nMD-1,Spindle,EA,4006381333931\nMD-2,,EA,\n"


@pytest.fixture(scope="module")
async def application(gateway: RunningGateway) -> str:
    async def work(connection, ring):
        kind = ClientKind.APPLICATION
        client = await add_client(connection, ring, tenant=TENANT, name="mdm", kind=kind, scopes=SCOPES)
        return await add_api_key(connection, ring, tenant=TENANT, client_id=client.client_id, environment="live")

    return await administer(load_settings(gateway.settings_path), work)


async def send(gateway: RunningGateway, key: str, path: str, text: str, **more: str) -> httpx.Response:
    headers = {"Content-Type": more.pop("kind", "text/csv; charset=utf-8")}
    async with gateway.client(key) as client:
        return await client.post(path, content=text.encode(), headers=headers, params=more)


async def crossdock(gateway: RunningGateway, *words: str) -> tuple[int, dict]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.cli", *words, "--settings", str(gateway.settings_path), "--json",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    told, _ = await process.communicate()
    return process.returncode or 0, json.loads(told)


async def test_a_file_is_taken_with_a_report_and_only_for_a_source_that_the_caller_speaks_for(gateway, application):
    refused = await send(gateway, application, ITEMS, FILE)
    assert (refused.status_code, refused.json()["code"]) == (403, "reference.source_foreign")
    looked = await send(gateway, application, ITEMS, FILE, source="pim", dry_run="true", partial="true")
    assert (looked.status_code, looked.json()["created"], looked.json()["applied"]) == (200, 1, False)
    taken = (await send(gateway, application, ITEMS, FILE, source="pim", partial="true")).json()
    assert (taken["rows"], taken["created"], taken["refusals"], taken["applied"]) == (2, 1, 1, True)
    (row,) = taken["refused"]
    assert (row["line"], row["column"], row["code"]) == (3, "name", "item.incomplete")
    again = (await send(gateway, application, ITEMS, FILE, source="pim", partial="true")).json()
    assert (again["created"], again["unchanged"], again["applied"]) == (0, 1, False)


@pytest.mark.parametrize(
    ("text", "kind", "status", "code"),
    [
        (FILE, "application/json", 415, "request.media_type"),
        ("colour\n", "text/csv", 422, "import.header"),
        ('sku,name\n"A', "text/csv", 422, "import.csv"),
    ],
)
async def test_what_is_no_such_file_is_refused_as_a_whole(gateway, application, text, kind, status, code):
    refused = await send(gateway, application, ITEMS, text, source="pim", kind=kind)
    assert (refused.status_code, refused.json()["code"]) == (status, code)


@pytest.mark.long
async def test_a_location_that_the_command_adds_is_used_by_the_running_gateway(gateway, application, tmp_path):
    path = Path(tmp_path) / "sites.csv"
    path.write_text("location,name,region,time_zone,holder,code:wms_north\nannex,Annex,na,UTC,wms_north,ANX\n", "utf-8")
    movement = {
        "event_id": "annex-1",
        "line": 0,
        "epoch": 1,
        "sequence": 1,
        "type": "stock_adjusted",
        "occurred_at": "2026-11-21T10:00:00Z",
        "item": SKUS[0],
        "location": "ANX",
        "amount": "1",
        "uom": "EA",
    }
    body = {"source": "wms_north", "movements": [movement]}
    status, report = await crossdock(gateway, "import", "locations", str(path), "--dry-run")
    assert (status, report["created"], report["applied"]) == (0, 1, False)
    status, report = await crossdock(gateway, "import", "locations", str(path))
    assert (status, report["created"], report["applied"]) == (0, 1, True)
    async with gateway.client(application) as client:
        recorded = await client.post("/process/availability/v1/movements", json=body)
        assert recorded.status_code == 200, recorded.text
        assert [line["cause"] for line in recorded.json()["others"]] in ([], ["stock.item_unknown"]), recorded.text
        found = await client.get("/process/locations/v1/locations", params={"source": "wms_north", "code": "ANX"})
        assert [each["id"] for each in found.json()["items"]] == ["annex"]
        told = (await client.get("/process/locations/v1/locations/annex/provenance")).json()["attributes"]
        assert {each["attribute"]: each["source"] for each in told}["name"] == "steward"
    path.write_text("location,parent\nannex,nowhere\n", "utf-8")
    status, report = await crossdock(gateway, "import", "locations", str(path))
    assert (status, report["refused"][0]["code"]) == (1, "location.parent_unknown")
