"""The independent checker of the play of a promotion: it reads logs and books, and imports no Crossdock code.

    python -I -m gateway.plays.checkers.promotion PLAN.json

prints one JSON object a line, ``{"check", "ok", "evidence"}``, and exits with 1 when any is not ok. What the ERP was
asked, and when, stands in the ERP's own log; what it took on, in its books; what buyers were answered, in theirs.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from gateway.plays.checkers.evidence import Finding, fetch, lines, tell

_CREATED = 201
_TOO_MANY = 429
# Between an order's acceptance and its place in the queue a worker must find it: so long others may pass.
_FOUND_S = 10.0


def books_of(url: str) -> list[dict[str, Any]]:
    """All orders of the ERP, from its control resource."""
    found: list[dict[str, Any]] = fetch(f"{url}/_control/orders")["orders"]
    return found


def most_in_any_span(instants: list[float], seconds: float) -> int:
    """The largest number of instants that lie less than `seconds` from each other."""
    instants, first, most = sorted(instants), 0, 0
    for last, instant in enumerate(instants):
        while instant - instants[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def no_error_reached_a_buyer(placed: list[dict[str, Any]]) -> Finding:
    """Every order was answered with 201."""
    answers = Counter(entry["status"] for entry in placed)
    slowest = max(entry["seconds"] for entry in placed)
    return (
        "no error reached a buyer",
        set(answers) == {_CREATED},
        f"{dict(answers)}, the slowest after {slowest:.2f} s",
    )


def within_the_limit(calls: list[dict[str, Any]], plan: dict[str, Any]) -> list[Finding]:
    """By the ERP's verdicts, and counted again from its clock."""
    refused = sum(1 for call in calls if call["status"] == _TOO_MANY)
    most = most_in_any_span([call["began"] for call in calls], plan["window"])
    return [
        ("the ERP refused no call as one too many", refused == 0, f"{len(calls)} calls, {refused} refused"),
        (
            "no second had more calls than agreed",
            most <= plan["calls"],
            f"at most {most} in any {plan['window']:g} s; agreed: {plan['calls']}",
        ),
    ]


def once(orders: set[str], books: list[dict[str, Any]]) -> Finding:
    """What buyers were promised stands in the ERP once, and nothing else."""
    there = Counter(order["external_reference"] for order in books)
    lost, twice = orders - set(there), [name for name, count in there.items() if count > 1]
    strange = set(there) - orders
    return (
        "every order is in the ERP, once",
        not lost and not twice and not strange,
        f"{len(orders)} promised, {len(there)} there; lost {len(lost)}, doubled {len(twice)}, strange {len(strange)}",
    )


def drained(samples: list[dict[str, Any]]) -> Finding:
    """A backlog was told of, and it is gone."""
    most, left = max(sample["waiting"] for sample in samples), samples[-1]["waiting"]
    return "the backlog built up and drained", most >= 10 and left == 0, f"at most {most} waited, at the end {left}"  # noqa: PLR2004


def was_visible(samples: list[dict[str, Any]]) -> Finding:
    """The last in the queue was told its place, and when it was expected to be called."""
    told = [sample for sample in samples if sample["last_place"] is not None]
    expected = [sample for sample in told if sample["last_expected"] is not None]
    fits = all(sample["last_place"] >= 1 for sample in told)
    furthest = max((sample["last_place"] for sample in told), default=0)
    longest = max((sample["last_expected"] - sample["at"] for sample in expected), default=0.0)
    return (
        "place and expected time could be seen",
        bool(told) and bool(expected) and fits,
        f"{len(told)} looks, places up to {furthest}, expected in up to {longest:.0f} s",
    )


def priorities_kept(
    submitted: dict[str, float], web: dict[str, float], market: dict[str, float], plan: dict[str, Any]
) -> list[Finding]:
    """A marketplace's order passes those that wait; among equals the older comes first, but for those under way."""
    passed = {
        order: sum(1 for other in web if at + _FOUND_S < submitted.get(other, 0.0) < submitted[order])
        for order, at in market.items()
        if order in submitted
    }
    waiting = sum(1 for order, at in web.items() if at < min(market.values()) < submitted.get(order, 0))
    worst = max(passed.values(), default=len(web))
    later = sum(1 for order in web if submitted.get(order, 0) > max(submitted.get(each, 0) for each in market))
    ranks = sorted((order for order in web if order in submitted), key=lambda order: submitted[order])
    by_age = {order: rank for rank, order in enumerate(sorted(ranks, key=lambda order: web[order]))}
    moved = [abs(by_age[order] - rank) for rank, order in enumerate(ranks)]
    apart = sorted(moved)[len(moved) * 9 // 10] if moved else 0
    return [
        (
            "a marketplace's orders passed those that waited",
            worst <= plan["visits"] and later > 0,
            f"{waiting} waited when the first came; at most {worst} of them went before one; {later} went after all",
        ),
        (
            "among equals the older went first",
            apart <= plan["visits"] + plan["factor"],
            f"nine of ten within {apart} places of their age",
        ),
    ]


def check(plan: dict[str, Any]) -> list[Finding]:
    """All of it."""
    logs = {
        name: [entry for entry in lines(plan[f"{name}_log"]) if entry["label"] == "order"] for name in ("web", "market")
    }
    made = {
        name: {json.loads(entry["body"])["id"]: entry["at"] for entry in log if entry["status"] == _CREATED}
        for name, log in logs.items()
    }
    calls, samples = lines(plan["erp_log"]), lines(plan["backlog_log"])
    submitted: dict[str, float] = {}
    for call in calls:
        if call["method"] == "POST" and call["target"].endswith("/sales-orders") and call["status"] == _CREATED:
            submitted.setdefault(json.loads(call["body"])["external_reference"], call["began"])
    return [
        no_error_reached_a_buyer([*logs["web"], *logs["market"]]),
        *within_the_limit(calls, plan),
        once({*made["web"], *made["market"]}, books_of(plan["erp_url"])),
        drained(samples),
        was_visible(samples),
        *priorities_kept(submitted, made["web"], made["market"], plan),
    ]


def main() -> int:
    """Print the findings."""
    return tell(check(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))


if __name__ == "__main__":
    sys.exit(main())
