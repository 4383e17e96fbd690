"""Statements whose tables are nearly empty most of the time, and full within a moment, when a burst comes."""

import json
from pathlib import Path

import asyncpg
import pytest

import gateway.store
import process_apis.channel_publication
import process_apis.partner_notifications
from gateway.store.migrations import find_migrations, migrate
from gateway.store.queries import queries_beside

pytestmark = pytest.mark.integration
publication = queries_beside(process_apis.channel_publication.__file__)
notifications = queries_beside(process_apis.partner_notifications.__file__)
FOLDERS = (gateway.store, process_apis.channel_publication, process_apis.partner_notifications)
FILL = """
insert into channel_publication.due (tenant, channel, item, since, changed_at)
    select 'acme', 'web', n::text, now(), now() from generate_series(1, 2000) n;
insert into channel_publication.figure (tenant, channel, item, sku)
    select 'acme', 'web', n::text, n::text from generate_series(1, 2000) n;
insert into partner_notifications.message
    (message, tenant, partner, endpoint, type, subject, event_type, occurred_at, correlation_id)
    select n::text, 'acme', 'par_1', 'whe_1', 'availability.changed', 'item/' || n, 'availability.changed', now(), ''
    from generate_series(1, 2000) n
"""
TABLES = "channel_publication.due, channel_publication.figure, partner_notifications.message"


@pytest.fixture
async def emptied(database):
    """What was full of what is due is empty, and the statistics say so."""
    await migrate(database, find_migrations([Path(folder.__path__[0]) / "migrations" for folder in FOLDERS]))
    connection = await asyncpg.connect(database)
    await connection.execute(FILL)
    for table in TABLES.split(", "):
        await connection.execute(f"delete from {table}")
    await connection.execute(f"vacuum analyze {TABLES}")
    yield connection
    await connection.close()


async def plan(connection, statement, count):
    """The plan that every execution has, whatever its parameters."""
    await connection.execute("set plan_cache_mode = force_generic_plan")
    await connection.execute(f"prepare asked as {statement}")
    arguments = ", ".join(["null"] * count)
    [row] = await connection.fetch(f"explain (format json) execute asked({arguments})")
    return list(nodes(json.loads(row["QUERY PLAN"])[0]["Plan"]))


def nodes(node):
    yield node
    for inner in node.get("Plans", ()):
        yield from nodes(inner)


@pytest.mark.parametrize("name", ["to_reckon", "take_due"])
async def test_each_figure_that_is_due_is_looked_up_by_its_key_though_nothing_was_due_before(emptied, name):
    found = await plan(emptied, getattr(publication, name), 4 if name == "take_due" else 3)
    [figure] = [node for node in found if node.get("Relation Name") == "figure"]
    assert "item = d.item" in figure["Index Cond"]


async def test_what_else_waits_about_a_thing_is_looked_up_by_that_thing_though_nothing_waited_before(emptied):
    found = await plan(emptied, notifications.lease_due, 3)
    [others] = [node for node in found if node.get("Alias") == "o"]
    assert "topic = d.topic" in others["Index Cond"]
    assert "Seq Scan" not in {node["Node Type"] for node in found if node.get("Relation Name") == "message"}
