"""One unit, many buyers, over HTTP against two gateway workers: one winner each round."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.journeys.checker_one_winner import read_log, read_record, rounds_at_once, wrong_rounds
from tests.journeys.conftest import ITEMS, WEBHOOK_SECRET, Door

pytestmark = pytest.mark.integration

ROUNDS, BUYERS = 300 if "CROSSDOCK_ALL" in os.environ else 60, 8


async def test_one_unit_and_many_buyers_at_two_gateway_workers_has_one_winner_in_each_round(door: Door, tmp_path: Path):
    log, plan = tmp_path / "buyers.jsonl", tmp_path / "plan.json"
    wanted = {
        "port": door.port,
        "gateway_pid": door.pid,
        "gateway_workers": door.workers,
        "partners": [partner.api_key for partner in door.partners],
        "webhook_path": "/webhooks/v1/wms",
        "webhook_secret": WEBHOOK_SECRET,
        "warehouse": "NOR1",
        "items": [{"code": code, "sku": sku} for code, sku in ITEMS],
        "rounds": ROUNDS,
        "buyers": BUYERS,
        "log": str(log),
    }
    plan.write_text(json.dumps(wanted), encoding="utf-8")
    buyers = await asyncio.create_subprocess_exec(
        sys.executable, "-I", str(Path(__file__).with_name("buyers.py")), str(plan), stderr=asyncio.subprocess.PIPE
    )
    _, errors = await asyncio.wait_for(buyers.communicate(), 120)
    assert buyers.returncode == 0, errors.decode()

    answers = read_log(log)
    assert len(answers) == ROUNDS * BUYERS
    assert wrong_rounds(answers, BUYERS) == {}
    winners = [answer for answer in answers if answer["status"] == 201]
    orders, units, impossible = await read_record(door.record)
    assert orders == {(winner["external_number"], winner["answer"]["id"]) for winner in winners}
    assert (units, len(orders)) == (ROUNDS, ROUNDS)
    assert impossible == dict.fromkeys(impossible, 0)

    # That it was a race: all at once, between processes, and anybody's to win.
    assert rounds_at_once(answers) > ROUNDS / 2
    assert Counter(answer["process"] for answer in answers).most_common() == [
        (process, ROUNDS * BUYERS // door.workers) for process in dict.fromkeys(a["process"] for a in answers)
    ]
    assert len({winner["process"] for winner in winners}) == door.workers
    assert {winner["partner"] for winner in winners} == {0, 1}
