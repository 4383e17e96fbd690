"""The independent checker of the play of three regions: it asks for itself, and imports no Crossdock code.

Run as ``python -I -m gateway.plays.checkers.three_regions MODE PLAN.json``; a MODE each:

    watch    asks what is told of the regions until the traffic is over
    check    compares what it was told with what was injected

`check` prints one JSON object a line, ``{"check", "ok", "evidence"}``, and exits with 1 when any is not ok. Injected is
what the traffic's log says: when something happened, when it was sent and answered, what was never sent. From that
follow the bounds of each figure. A source was heard between sending and answer, and is noted a second late at most;
quantiles are told within a twentieth. Everything else is exact.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import sys
import time
import urllib.parse
import urllib.request
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg

from gateway.plays.checkers.evidence import Finding, fetch, lines, tell

_POLL = 0.5
_NOTED = 1.1
_SLOT = 0.055
_CLOCK = 0.06
_UNAFFECTED = 15.0
_TAKEN = 200
_GRADES = ("high", "degraded", "stale")


def get(plan: dict[str, Any], path: str, **query: Any) -> Any:
    """One answer of the process API."""
    url = f"{plan['gateway']}{path}?{urllib.parse.urlencode(query)}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {plan['token']}"})  # noqa: S310 - loopback
    return fetch(request, parse_float=Decimal)


def watch(plan: dict[str, Any]) -> None:
    """Ask, and keep with the instants before and after what was told."""
    item = min(plan["items"].values())
    with Path(plan["watch_log"]).open("a", encoding="utf-8") as file:
        over = False
        while not over:
            over = any(entry["kind"] == "over" for entry in lines(plan["traffic_log"])[-3:])
            asked = time.time()
            told = get(plan, "/process/availability/v1/regions")["regions"]
            answered = time.time()
            figure = get(plan, "/process/availability/v1/availability", item=item, channel="web")["items"][0]
            entry = {"asked": asked, "answered": answered, "regions": told, "figure": figure, "later": time.time()}
            file.write(json.dumps(entry, default=float) + "\n")
            time.sleep(_POLL)


class Injected:
    """What happened and was told, by region."""

    def __init__(self, log: list[dict[str, Any]]) -> None:
        self.moved = defaultdict(list)
        # What was not answered well may have been taken all the same.
        self.sent: dict[str, list[float]] = defaultdict(list)
        self.told: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self.shelves: dict[str, dict[str, int]] = {}
        self.counted: dict[str, tuple[float, float]] = {}
        first: dict[tuple[str, str], tuple[float, float]] = {}
        for entry in log:
            if entry["kind"] == "moved":
                self.moved[entry["region"]].append(entry)
            elif entry["kind"] == "shelves":
                self.shelves[entry["region"]] = entry["stock"]
            elif entry["kind"] == "told":
                self.sent[entry["region"]].append(entry["sent"])
                if entry["status"] == _TAKEN:
                    self.told[entry["region"]].append((entry["sent"], entry["answered"]))
                    if entry["what"] == "count":
                        self.counted[entry["region"]] = (entry["sent"], entry["answered"])
                for event in entry["events"]:
                    sent, _ = first.get((entry["region"], event), (entry["sent"], 0.0))
                    first[entry["region"], event] = (sent, entry["answered"])
        self.lags: dict[str, tuple[list[float], list[float]]] = {}
        for region, moved in self.moved.items():
            sent = [(first[region, one["event"]], one["occurred"]) for one in moved if not one["lost"]]
            self.lags[region] = ([s - at for (s, _), at in sent], [a - at for (_, a), at in sent])

    def lost(self, region: str) -> Counter[str]:
        """What the record cannot know, by article."""
        sums: Counter[str] = Counter()
        for one in self.moved[region]:
            sums[one["item"]] += one["amount"] if one["lost"] else 0
        return Counter({item: amount for item, amount in sums.items() if amount})

    def grades(self, region: str, rules: dict[str, Any], asked: float, answered: float) -> set[str]:
        """What the confidence may be for whoever asks between these instants."""
        begun = [sent for sent in self.sent[region] if sent <= answered]
        done = [at for _, at in self.told[region] if at <= asked]
        youngest = max(0.0, asked - max(begun))
        oldest = answered - max(done, default=0.0) + _NOTED
        low, high = (_grade(age, rules) for age in (youngest, oldest))
        found = set(_GRADES[_GRADES.index(low) : _GRADES.index(high) + 1])
        sent, taken = self.counted[region]
        if len(self.lost(region)) <= rules["drift_share"] * rules["figures"] or answered < sent:
            return found
        lowered = {max(grade, "degraded", key=_GRADES.index) for grade in found}
        return lowered if asked > taken else found | lowered


def _grade(age: float, rules: dict[str, Any]) -> str:
    if age > rules["stale_after"]:
        return "stale"
    return "degraded" if age > rules["degraded_after"] else "high"


def quantile(values: list[float], part: float) -> float:
    """The smallest value that so much of all is at most as large as."""
    return sorted(values)[max(1, math.ceil(len(values) * part)) - 1]


def confidence_findings(plan: dict[str, Any], injected: Injected, watched: list[dict[str, Any]]) -> list[Finding]:
    """At every instant that was asked at, each region's confidence is what its own source's silence makes it."""
    findings = []
    for region, rules in plan["regions"].items():
        seen: Counter[str] = Counter()
        sure, wrong = 0, []
        for entry in watched:
            told = next(each for each in entry["regions"] if each["region"] == region)
            may_be = injected.grades(region, rules, entry["asked"], entry["answered"])
            sure += len(may_be) == 1
            seen[told["confidence"]] += 1
            if told["confidence"] not in may_be:
                wrong.append(f"{told['confidence']} instead of {sorted(may_be)}")
        text = f"{dict(seen)} in {len(watched)} answers, {sure} of them with one right answer; wrong: {wrong[:3]}"
        fits = not wrong and sure > len(watched) / 3
        findings.append((f"{region}'s confidence is what its own silence makes it", fits, text))
        if region == plan["dead"]:
            back = seen["stale"] > 0 and _last(watched, region)["confidence"] != "stale"
            findings.append((f"{region} was stale while it was dead, and is not now", back, text))
        if rules["lossy"]:
            lowered = _last(watched, region)["confidence"] != "high"
            findings.append((f"{region}'s loss lowers its confidence once it is found", lowered, text))
    return findings


def _last(watched: list[dict[str, Any]], region: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in watched[-1]["regions"] if each["region"] == region)
    return found


def partial_findings(plan: dict[str, Any], watched: list[dict[str, Any]]) -> list[Finding]:
    """What a channel is answered says which source is silent, and for which location."""
    silent, unsaid = 0, []
    source = plan["regions"][plan["dead"]]["source"]
    for before, entry in itertools.pairwise(watched):
        around = [next(each for each in some["regions"] if each["region"] == plan["dead"]) for some in (before, entry)]
        if all(each["confidence"] == "stale" for each in around):
            silent += 1
            named = [each for each in before["figure"]["silent_sources"] if each["source"] == source]
            if [each["locations"] for each in named] != [[f"dc_{plan['dead']}"]] or named[0]["since"] is None:
                unsaid.append(before["figure"]["silent_sources"])
    text = f"{silent} answers while {source} was stale; without saying so: {unsaid[:2]}"
    return [("an answer says which source is silent since when", silent > 0 and not unsaid, text)]


def lag_findings(plan: dict[str, Any], injected: Injected, told: dict[str, Any]) -> list[Finding]:
    """How late news is, by region, is how late it was made."""
    findings = []
    for region in plan["regions"]:
        lows, highs = injected.lags[region]
        lag = told[region]["recorded"]
        findings.append((f"{region}: every movement that was told is counted once", lag["news"] == len(lows),
                         f"{lag['news']} counted, {len(lows)} told"))  # fmt: skip
        for name, part in (("p50", 0.5), ("p99", 0.99)):
            low = quantile(lows, part) * (1 - _SLOT) - _CLOCK
            high = quantile(highs, part) * (1 + _SLOT) + _CLOCK
            figure = float(lag[f"{name}_seconds"])
            findings.append((f"{region}: {name} from what happened to the record", low <= figure <= high,
                             f"{figure:.3f} s told, {low:.3f} to {high:.3f} s injected"))  # fmt: skip
    dead = plan["dead"]
    slowest = {region: quantile(injected.lags[region][1], 0.99) for region in plan["regions"]}
    findings.append((f"{dead}'s death is in {dead}'s lag", slowest[dead] > 15, f"{slowest}"))  # noqa: PLR2004
    return findings


def isolation_findings(plan: dict[str, Any], injected: Injected, told: dict[str, Any]) -> list[Finding]:
    """While one region is dead, and when it comes back with all of it, the others are taken and shown as before."""
    findings = []
    for region in plan["regions"]:
        waits = [answered - sent for sent, answered in injected.told[region]]
        shown = float(told[region]["published"]["p99_seconds"])
        text = f"taken within {max(waits):.2f} s, shown within {shown:.2f} s (99 of 100)"
        findings.append((f"{region} waits for no other region", max(waits) < _UNAFFECTED and shown < _UNAFFECTED, text))
        findings.append((f"{region}: nothing waits for the figures", told[region]["unpublished"] == 0,
                         f"{told[region]['unpublished']} changes"))  # fmt: skip
    return findings


def loss_findings(plan: dict[str, Any], injected: Injected, told: dict[str, Any]) -> list[Finding]:
    """What was lost is what the count found, article by article; afterwards the record has what lies on the shelves."""
    findings = []
    for region, rules in plan["regions"].items():
        lost = injected.lost(region)
        [source] = told[region]["sources"]
        text = f"{source['drifted']} of {source['figures']} figures drifted, {len(lost)} articles lost movements"
        ok = source["drifted"] == len(lost) and source["figures"] == len(plan["items"]) and bool(lost) == rules["lossy"]
        findings.append((f"{region}: the count finds what was lost", ok, text))
    wrong = []
    for sku, item in plan["items"].items():
        positions = get(plan, "/process/availability/v1/positions", item=item)["positions"]
        for each in positions:
            region = each["location"].removeprefix("dc_")
            if Decimal(each["amount"]) != injected.shelves[region][sku]:
                wrong.append(f"{sku} in {region}: {each['amount']}, not {injected.shelves[region][sku]}")
        if len(positions) != len(plan["regions"]):
            wrong.append(f"{sku} has {len(positions)} positions")
    count = len(plan["items"]) * len(plan["regions"])
    findings.append(("the record has what lies on the shelves", not wrong, f"{count} positions; wrong: {wrong[:3]}"))
    return findings


async def settled(plan: dict[str, Any], injected: Injected) -> dict[str, Any]:
    """What is told once all is counted and shown, or when patience ends."""
    end = time.monotonic() + plan["patience"]
    connection = await asyncpg.connect(plan["postgres"])
    try:
        while True:
            told = {
                each["region"]: each for each in get(plan, "/process/availability/v1/regions", minutes=60)["regions"]
            }
            changes = {
                row["region"]: row["changes"]
                for row in await connection.fetch(
                    "select substr(data ->> 'location', 4) as region, count(*) as changes from store.told"
                    " where type = 'availability.changed' group by 1"
                )
            }
            done = all(
                each["recorded"]["news"] >= len(injected.lags[region][0])
                and each["published"]["news"] >= changes[region]
                and each["unpublished"] == 0
                for region, each in told.items()
            )
            if done or time.monotonic() > end:
                for region, each in told.items():
                    each["changes"] = changes[region]
                return told
            await asyncio.sleep(_POLL)
    finally:
        await connection.close()


async def check(plan: dict[str, Any]) -> list[Finding]:
    """Everything."""
    injected = Injected(lines(plan["traffic_log"]))
    watched = lines(plan["watch_log"])
    told = await settled(plan, injected)
    shown = [
        (f"{region}: every change is shown", each["published"]["news"] >= each["changes"],
         f"{each['published']['news']} shown, {each['changes']} in the log")
        for region, each in told.items()
    ]  # fmt: skip
    return [
        *confidence_findings(plan, injected, watched),
        *partial_findings(plan, watched),
        *lag_findings(plan, injected, told),
        *shown,
        *isolation_findings(plan, injected, told),
        *loss_findings(plan, injected, told),
    ]


def main() -> int:
    """See the module's docstring."""
    mode, path = sys.argv[1:]
    plan = json.loads(Path(path).read_text(encoding="utf-8"))
    Path(path).unlink()
    if mode == "watch":
        watch(plan)
        return 0
    return tell(asyncio.run(check(plan)))


if __name__ == "__main__":
    sys.exit(main())
