"""The checker would say so: books that were doctored are found out, by every rule it has."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import asyncpg
import pytest

CHECKER = Path(__file__).with_name("checker.py")
spec = importlib.util.spec_from_file_location("checker_of_claims", CHECKER)
checker = importlib.util.module_from_spec(spec)
spec.loader.exec_module(checker)

LINE = "update availability.stock_line set "
CLAIM = "update availability.claim set "
OPEN = " where order_id = 'ord_open'"
DOCTORED = {
    "promised beyond what is there": LINE + "sellable = 1",
    "short without a movement that took it": LINE + "short = 3",
    "reserved is not the sum of reservations": LINE + "reserved = reserved + 1",
    "allocated is not the sum of allocations": LINE + "allocated = 1",
    "what waits is not the sum of promises on supply": LINE + "waiting = waiting + 1",
    "promised beyond what is to come, and none of them told late": "update availability.supply set cancelled = 1",
    "an open claim without its stock line": "delete from availability.stock_line",
    "a channel's counter is not the sum of its claims": "update availability.channel_line set open = open + 1",
    "a claim that is over has something open": CLAIM + "state = 'released'" + OPEN,
    "a claim did not begin and end as often as told": "delete from store.event where type = 'claim.made'",
    "a claim without the action that made it": "delete from availability.action",
    "an action made claims twice": """
        insert into availability.claim (claim, tenant, order_id, order_line, item, location, owner, channel,
                                        rule_version, amount, state, action, made_at)
        select claim || 'x', tenant, order_id, order_line, item, location, owner, channel, rule_version, amount, state,
               action, made_at from availability.claim""",
    "a reservation that expired before its time": CLAIM
    + "expires_at = now() + interval '1 h' where state = 'released'",
    "a version of an aggregate told twice": "update store.event set aggregate_version = 7, aggregate = 'x'",
    "a change of a stock line that was not told": LINE + "version = version + 1",
    "the last that was told of a stock line is not what it is": LINE + "reserved = 0",
    "figures of a line are not the sum of its positions": "update availability.position set amount = amount + 1",
    "a position that never was counted is not the sum of its movements": "update availability.movement set amount = 1",
    "a movement that counts twice": """
        insert into availability.movement
        select (jsonb_populate_record(m, '{"movement": "mov_again"}')).* from availability.movement m limit 1""",
    "a movement that was admitted and not written, or written and not admitted": "delete from availability.movement",
    "consumed is more than was handled": CLAIM + "consumed = 1" + OPEN,
    "a claim lacks more than it has open": CLAIM + "short = 9" + OPEN,
    "what is drawn of an allotment is not what its claims keep": "update availability.channel_line set drawn = 1",
    "external demand of a line is not the sum of its demand": LINE + "external = 1",
    "a line lacks other than what is promised and not there": LINE + "short = 1",
    "parked, and nobody was told": """
        insert into availability.parked (tenant, source, event_id, line, fingerprint, kind, cause, detail, mendable,
                                         payload)
        values ('acme', 'wms_n', 'e', 0, '', 'movement', 'c', 'd', true, '{}')""",
    "eras of a location that do not follow upon each other": """
        insert into availability.holding (tenant, location, era, holder, before, since, made_by, reason)
        values ('acme', 'loc_n', 2, 'erp', 'wms_n', now(), 'ops', 'r')""",
    "components of a kit are promised for different numbers of kits": """
        insert into availability.claim (claim, tenant, order_id, order_line, item, location, owner, channel,
                                        rule_version, amount, state, action, made_at, kit, per_kit)
        select claim || n, tenant, order_id, order_line, item || n, location, owner, channel, rule_version, 4,
               state, action, made_at, 'kit', n from availability.claim, generate_series(1, 2) n""",
    "an order that was cancelled holds stock": "update availability.claim_order set cancelled_at = now()",
}


def test_the_checker_imports_nothing_of_crossdock():
    tree = ast.parse(CHECKER.read_text(encoding="utf-8"))
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert named <= {"__future__", "asyncio", "json", "sys", "asyncpg"}


def test_every_rule_has_a_doctored_record():
    assert DOCTORED.keys() == checker.WRONG.keys()


@pytest.mark.integration
async def test_doctored_books_are_found_out_by_every_rule(world):
    await world.stock("A", 10)
    await world.claim("ord_open", ("A", 4))
    await world.claim("ord_over", ("A", 1), expires_at=world.clock.now())
    assert await world.availability.expire() == 1
    await world.order_supply("PO-1", 2)
    await world.claim_ahead("ord_ahead", 2)
    connection = await asyncpg.connect(world.url)
    assert await checker.check(connection) == {}
    for rule, doctoring in DOCTORED.items():
        trial = connection.transaction()
        await trial.start()
        await connection.execute("alter table availability.stock_line drop constraint no_oversell")
        await connection.execute(doctoring)
        assert rule in await checker.check(connection), rule
        await trial.rollback()
    await connection.close()
