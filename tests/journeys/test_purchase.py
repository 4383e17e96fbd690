"""A purchase past every party, on a stack of its own: the story holds, and its checker would say so if it did not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.plays.stack import Stack
from tests.journeys.supplier_trade import PROCUREMENT, Trade

pytestmark = [pytest.mark.long, pytest.mark.integration, pytest.mark.timeout(900)]


def _billed_less(plan: dict[str, Any]) -> None:
    _rewrite(plan["supplier_log"], "invoice", "sent", lambda said: said["lines"][1].update(unit_price="4"))


def _agreed_price(plan: dict[str, Any]) -> None:
    _rewrite(plan["supplier_log"], "acknowledgement", "sent", lambda said: said["lines"][1].pop("unit_price"))


def _less_before(plan: dict[str, Any]) -> None:
    plan["before"]["SKU-0141"] = "0"


def _another_order(plan: dict[str, Any]) -> None:
    """The other supplier is said to have listed what it was shown."""
    _rewrite(plan["other_log"], "list", "body", lambda shown: shown["items"].append({"id": plan["purchase"]}))


def _forged(plan: dict[str, Any]) -> None:
    plan["webhook_secret"] = "whsec_" + "A" * 32


LIES = {
    _billed_less: "Tryton has the supplier's invoice once, posted, to the cent",
    _agreed_price: "one line was acknowledged at another price",
    _less_before: "Tryton's stock rose by what came in",
    _another_order: "another supplier is told that the order is not there",
    _forged: "every webhook's signature verifies",
}


async def test_a_purchase_goes_from_trytons_approval_past_the_suppliers_door_to_trytons_books(
    tmp_path: Path, tryton_cache: Path
):
    stack = Stack(tmp_path, demo=True, cache=tryton_cache, settings=PROCUREMENT, progress=lambda _: None)
    async with stack:
        assert stack.demo is not None
        trade = Trade(stack, stack.demo, tmp_path / "trade")
        try:
            findings = await trade.run()
            assert [finding for finding in findings if not finding["ok"]] == []
            assert len(findings) == 15
            for lie, found_out in LIES.items():
                logs = {name: Path(trade.plan[name]) for name in ("supplier_log", "other_log")}
                truth = {log: log.read_text(encoding="utf-8") for log in logs.values()}
                plan = json.loads(json.dumps(trade.plan))
                lie(plan)
                found = {finding["check"] for finding in await trade.check(plan) if not finding["ok"]}
                for log, text in truth.items():
                    log.write_text(text, encoding="utf-8")
                assert found_out in found, lie.__name__
        finally:
            await trade.close()


def _rewrite(log: str, label: str, part: str, change: Any) -> None:
    """Change what a log has under a label."""
    path, entries = Path(log), []
    for entry in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
        if entry["label"] == label:
            said = json.loads(entry[part])
            change(said)
            entry[part] = json.dumps(said)
        entries.append(entry)
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
