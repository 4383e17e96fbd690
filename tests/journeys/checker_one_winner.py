"""What the buyers' log and the record say about who got the units; imports no Crossdock code."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import asyncpg

# Each must find no row.
IMPOSSIBLE = {
    "an order of a round that had one already": """
        select split_part(external_number, '-', 2) from order_to_ship.sales_order group by 1 having count(*) > 1""",
    "an order without a promise of one piece": """
        select o.order_id from order_to_ship.sales_order o
        where (select sum(amount - consumed - released) from availability.claim c where c.order_id = o.order_id)
              is distinct from 1""",
    "more promised than is there": """
        select item from availability.stock_line where reserved + allocated > sellable or short > 0""",
    "promises that are not the sum of their claims": """
        select l.item from availability.stock_line l
        where l.reserved + l.allocated <> (select coalesce(sum(amount - consumed - released), 0)
            from availability.claim c where c.item = l.item and c.location = l.location)""",
    "stock that is not the sum of what the warehouse told": """
        select p.item from availability.position p
        where p.amount <> (select sum(amount) from availability.movement m where m.item = p.item)""",
    "an order without its event or with two": """
        select o.order_id from order_to_ship.sales_order o
        where (select count(*) from store.event e where e.type = 'order.accepted' and e.aggregate = o.order_id) <> 1""",
}


def read_log(path: Path) -> list[dict[str, Any]]:
    """The buyers' answers."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def wrong_rounds(answers: list[dict[str, Any]], buyers: int) -> dict[int, Any]:
    """Rounds that had not exactly one winner, or a loser who was told anything but that the stock is gone."""
    by_round: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for answer in answers:
        by_round[answer["round"]].append(answer)
    expected = Counter({(201, "application/json", None): 1})
    expected[409, "application/problem+json", "stock.insufficient"] = buyers - 1
    told = {
        number: Counter((a["status"], a["content_type"].partition(";")[0], a["answer"].get("code")) for a in found)
        for number, found in by_round.items()
    }
    return {number: found for number, found in told.items() if found != expected}


def rounds_at_once(answers: list[dict[str, Any]]) -> int:
    """Rounds in which every buyer had asked before the first was answered."""
    asked: dict[int, float] = defaultdict(float)
    answered: dict[int, float] = defaultdict(lambda: float("inf"))
    for answer in answers:
        number = answer["round"]
        asked[number] = max(asked[number], answer["asked"])
        answered[number] = min(answered[number], answer["answered"])
    return sum(asked[number] < answered[number] for number in asked)


async def read_record(url: str) -> tuple[set[tuple[str, str]], int, dict[str, int]]:
    """(external number, order id) of every order, the units the warehouse told of, and impossible rows by name."""
    connection = await asyncpg.connect(url)
    try:
        orders = await connection.fetch("select external_number, order_id from order_to_ship.sales_order")
        units = await connection.fetchval("select sum(amount)::int from availability.position")
        found = {name: len(await connection.fetch(query)) for name, query in IMPOSSIBLE.items()}
    finally:
        await connection.close()
    return {tuple(row) for row in orders}, units, found
