"""The play of a promotion on a stack of its own, and its checker, which must find every lie about it."""

import json
import shutil
from pathlib import Path

import pytest

from gateway.plays.progress import Progress
from gateway.plays.promotion import Counterparts, Options, Promotion, settings_of_promotion
from gateway.plays.stack import Stack

pytestmark = [pytest.mark.long, pytest.mark.integration]


def _one_too_many(entries):
    """Five more calls in the moment of one."""
    entries += [{**entries[-1], "method": "GET"} for _ in range(5)]


def _refused(entries):
    entries[-1]["status"] = 429


def _error(entries):
    next(entry for entry in entries if entry["label"] == "order")["status"] = 503


def _never_drained(entries):
    entries[-1]["waiting"] = 3


def _another_order(entries):
    """A buyer was promised something that the ERP never heard of."""
    told = next(entry for entry in entries if entry["label"] == "order")
    entries.append({**told, "body": json.dumps({**json.loads(told["body"]), "id": "ord_lost"})})


LIES = (
    ("erp_log", _one_too_many, "no second had more calls than agreed"),
    ("erp_log", _refused, "the ERP refused no call as one too many"),
    ("web_log", _error, "no error reached a buyer"),
    ("market_log", _another_order, "every order is in the ERP, once"),
    ("backlog_log", _never_drained, "the backlog built up and drained"),
)


async def test_a_burst_waits_and_reaches_the_erp_within_its_limit_the_urgent_first(tmp_path: Path):
    options = Options(patience=600.0)
    async with Counterparts(tmp_path / "counterparts", options.calls_per_second) as counterparts:
        settings = settings_of_promotion(counterparts.erp, counterparts.wms, options.calls_per_second)
        async with Stack(tmp_path / "stack", demo=False, settings=settings, progress=lambda _: None) as stack:
            play = Promotion(stack, counterparts, options)
            held = await play.run(Progress())
            assert [finding for finding in play.findings if not finding["ok"]] == []
            assert held
            for log, lie, found_out in LIES:
                plan = play.plan()
                lied = tmp_path / "lied.jsonl"
                shutil.copy(plan[log], lied)
                entries = [json.loads(line) for line in lied.read_text(encoding="utf-8").splitlines()]
                lie(entries)
                lied.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
                findings = await play.check({**plan, log: str(lied)})
                assert found_out in {finding["check"] for finding in findings if not finding["ok"]}, lie.__name__
