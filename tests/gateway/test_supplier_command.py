"""`crossdock supplier` on a real record: from a name to an active supplier, and suspended."""

import asyncio
import json
from decimal import Decimal

import pytest

from gateway.app import Core
from gateway.canonical.item import ReportedItem
from gateway.canonical.purchase import AckLine, Acknowledgement
from gateway.cli import main
from gateway.kernel.clock import SystemClock
from gateway.kernel.shell import caller_at_shell
from gateway.settings import load_settings

pytestmark = pytest.mark.integration


@pytest.fixture
async def settings_file(install):
    return await install({"sources": {"erp": {}}})


async def _answer(path, purchase):
    """What the supplier would say at its door."""
    settings = load_settings(path)
    async with Core(settings).opened() as core:
        caller = caller_at_shell(settings.tenant, SystemClock(), frozenset())
        line = AckLine(line=1, code="IA", amount=Decimal(1))
        said = Acknowledgement(number="A-1", sequence=0, lines=(line,))
        await core.procurement.dialogue.acknowledge(caller, purchase, said)


async def _item(path):
    settings = load_settings(path)
    async with Core(settings).opened() as core:
        item = ReportedItem(source_code="V-1", sku="SKU-1", name="", base_uom="EA", packs=())
        await core.items.adopt(settings.tenant, "erp", [item], correlation_id="setup")


async def test_a_supplier_is_onboarded_and_suspended_from_the_shell(settings_file, capsys):
    async def run(*arguments, told=True):
        flags = ["--settings", str(settings_file), *(["--json"] if told else [])]
        status = await asyncio.to_thread(main, ["supplier", *arguments, *flags])
        out = capsys.readouterr()
        return status, (json.loads(out.out) if told and out.out else out.out or out.err)

    status, text = await run("list", told=False)
    assert (status, "no supplier is known" in text) == (0, True)
    status, made = await run("add", "Tap Works", "--code", "erp=S-17")
    assert (status, made["state"], made["missing"]) == (0, "onboarding", ["documents", "terms", "test_order"])
    known = made["id"]
    status, error = await run("add", "Other", "--code", "erp=S-17")
    assert (status, "calls another supplier" in error) == (2, True)
    status, error = await run("test-order", known)
    assert (status, "comes behind documents" in error) == (2, True)
    await run("step", known, "documents", "--note", "ISO 9001 until 2028")
    await run("step", known, "terms")
    await _item(settings_file)
    for _ in range(2):
        status, sent = await run("test-order", known)
        assert (status, sent["test_order"]["number"], sent["state"]) == (0, f"TEST-{known}", "onboarding")
    assert "awaits its answer since" in (await run("list", told=False))[1]
    await _answer(settings_file, sent["test_order"]["id"])
    _, text = await run("show", known, told=False)
    assert "active" in text
    assert "ISO 9001 until 2028" in text
    assert "by shell/" in text
    _, held = await run("suspend", known, "--reason", "no deliveries")
    assert held["state"] == "suspended"
    _, changed = await run("change", known, "--code", "erp_eu=77", "--partner", "par_1")
    assert (changed["codes"], changed["partner"]) == ({"erp": "S-17", "erp_eu": "77"}, "par_1")
    _, resumed = await run("resume", known, "--reason", "they deliver again")
    assert resumed["state"] == "active"
    _, listed = await run("list")
    [each] = listed["suppliers"]
    assert (each["missing"], each["test_order"]["needs"]) == ([], [])
