"""The play of three regions on a stack of its own, and its checker, which must find every lie about it."""

import json
from pathlib import Path

import pytest

from gateway.plays.progress import Progress
from gateway.plays.stack import Stack
from gateway.plays.three_regions import ThreeRegions, settings_of_regions

pytestmark = [pytest.mark.long, pytest.mark.integration]


def _earlier(entry):
    """EMEA's goods moved ten seconds before it is told that they did."""
    if entry["kind"] == "moved" and entry["region"] == "emea":
        entry["occurred"] -= 10


def _nothing_was_lost(entry):
    if entry["kind"] == "shelves" and entry["region"] == "na":
        entry["stock"]["R-00"] += 1


def _silent_for_longer(entry):
    """NA was not heard in the time that it says it was."""
    if entry["kind"] == "told" and entry["region"] == "na" and entry["what"] == "movements":
        entry["sent"] -= 60
        entry["answered"] -= 60


LIES = {
    _earlier: "emea: p50 from what happened to the record",
    _nothing_was_lost: "the record has what lies on the shelves",
    _silent_for_longer: "na's confidence is what its own silence makes it",
}


async def test_what_is_told_of_three_regions_is_what_was_injected(tmp_path: Path, monkeypatch):
    plans = []
    told = ThreeRegions.check

    async def keeping_the_plan(self, plan):
        plans.append(plan)
        return await told(self, plan)

    monkeypatch.setattr(ThreeRegions, "check", keeping_the_plan)
    async with Stack(
        tmp_path, demo=False, port=None, gateway_workers=2, settings=settings_of_regions(), progress=lambda _: None
    ) as stack:
        play = ThreeRegions(stack, seed=1)
        held = await play.run(Progress())
        assert [finding for finding in play.findings if not finding["ok"]] == []
        assert held
        assert len(play.findings) > 25
        entries = (play.folder / "traffic.jsonl").read_text(encoding="utf-8").splitlines()
        for lie, found_out in LIES.items():
            lied = [json.loads(line) for line in entries]
            for entry in lied:
                lie(entry)
            log = tmp_path / "lied.jsonl"
            log.write_text("".join(json.dumps(entry) + "\n" for entry in lied), encoding="utf-8")
            findings = await told(play, {**plans[0], "traffic_log": str(log), "patience": 0.0})
            assert found_out in {finding["check"] for finding in findings if not finding["ok"]}, lie.__name__
