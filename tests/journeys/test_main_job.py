"""`crossdock play main-job` as a test: the story holds, and its checker would say so if it did not."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.plays import main_job
from gateway.plays.progress import Progress
from gateway.plays.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("stack"), pytest.mark.timeout(400)]

Plan = dict[str, Any]


def _read(path: Path) -> Plan:
    plan: Plan = json.loads(path.read_text(encoding="utf-8"))
    return plan


def _order_more(plan: Plan) -> None:
    plan["ordered"] = str(Decimal(plan["ordered"]) + 1)


def _lose_a_part(plan: Plan) -> None:
    plan["parts"] -= 1


def _promise_too_much(plan: Plan) -> None:
    plan["moments"][1]["available_to_sell"] = str(Decimal(plan["moments"][1]["available_to_sell"]) + 1)


def _forge(plan: Plan) -> None:
    plan["webhook_secret"] = "whsec_" + "A" * 32


def _take_another_order(plan: Plan) -> None:
    plan["order"] = "ord_" + "0" * 26


LIES: dict[Callable[[Plan], None], set[str]] = {
    _order_more: {"Tryton shipped what was ordered", "Tryton's quantities fell by what was shipped"},
    _lose_a_part: {"one shipment per part that left"},
    _promise_too_much: {"availability while promised agrees with Tryton"},
    _forge: {"every webhook's signature verifies", "the partner was told of its order"},
    _take_another_order: {
        "Tryton has one sale",
        "the warehouse got the work once",
        "the partner was told of its order",
    },
}


async def test_the_main_job_holds_and_its_checker_finds_every_lie(stack: Stack, monkeypatch, capsys, tmp_path: Path):
    plans: list[Plan] = []
    check = main_job._checker

    async def keeping_the_plan(mode: str, path: Path) -> list[str]:
        if mode == "check":
            plans.append(_read(path))
        return await check(mode, path)

    monkeypatch.setattr(main_job, "_checker", keeping_the_plan)
    status = await main_job.play(stack.folder, as_json=True, progress=Progress())
    told = capsys.readouterr()
    assert status == 0, told.out + told.err
    findings = [json.loads(line) for line in told.out.splitlines()]
    assert len(findings) > 15
    assert [finding for finding in findings if not finding["ok"]] == []

    [plan] = plans
    path = tmp_path / "plan.json"
    for lie, found_out in LIES.items():
        lied = json.loads(json.dumps(plan))
        lie(lied)
        path.write_text(json.dumps(lied), encoding="utf-8")
        wrong = {finding["check"] for line in await check("check", path) if not (finding := json.loads(line))["ok"]}
        assert found_out <= wrong, (lie.__name__, wrong)
