"""The play of a business unit that changes its ERP, on a stack of its own; its checker must find lies about it."""

import json
from pathlib import Path

import pytest

from gateway.plays.erp_migration import ErpMigration, staged
from gateway.plays.progress import Progress

pytestmark = [pytest.mark.long, pytest.mark.integration]


def _another_amount(entry):
    """A buyer says that more was ordered than any system was told."""
    if entry["event"] == "sending" and entry["kind"] == "released":
        entry["sent"]["lines"][0]["quantity"]["amount"] = "9"


def _placed_later(entry):
    """What was placed before the cut-over, and so is in Tryton, is said to have begun in the warehouse's time."""
    if entry["event"] == "answer" and entry["kind"] == "picked":
        entry["kind"] = "released"


def _another_member(entry):
    """After the move an answer has a member more."""
    if entry["event"] == "look" and entry["when"] == "after":
        entry["body"]["erp"] = "S/4HANA"


LIES = {
    _another_amount: "S/4HANA has what was ordered, to the last digit",
    _placed_later: "what it had not begun is in S/4HANA alone",
    _another_member: "v2 answers have one shape before and after",
}


async def test_a_business_unit_changes_its_erp_and_no_order_is_lost_or_doubled(tmp_path: Path, tryton_cache: Path):
    stack, demo = staged(tmp_path, tryton_cache, lambda _: None)
    async with stack:
        play = ErpMigration(stack, demo)
        held = await play.run(Progress())
        assert [finding for finding in play.findings if not finding["ok"]] == []
        assert held
        log = play.folder / "client.jsonl"
        entries = log.read_text(encoding="utf-8")
        for lie, found_out in LIES.items():
            lied = [json.loads(line) for line in entries.splitlines()]
            for entry in lied:
                lie(entry)
            log.write_text("".join(json.dumps(entry) + "\n" for entry in lied), encoding="utf-8")
            assert found_out in {finding["check"] for finding in await play.check() if not finding["ok"]}
