"""Enqueueing a workflow inside the caller's transaction: it exists if and only if the caller's change does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from gateway.canonical.capabilities import Connection, GathersWrites
from gateway.durable.shapes import CURRENT

ROUTINE: Final = 50
GOING_ON: Final = 40
"""The turns of work that has begun: they go before the first turns of others, so that what began comes to its end."""
_ENQUEUE_ALL: Final = """
select count(dbos.enqueue_workflow(
    workflow_name => $1, queue_name => $2, workflow_id => w.id,
    positional_args => array(select json_array_elements(w.args::json)), priority => $5, app_version => $6)) as count
from unnest($3::text[], $4::text[]) as w (id, args)
"""
_ENQUEUE: Final = """
select count(dbos.enqueue_workflow(
    workflow_name => w.workflow, queue_name => w.queue, workflow_id => w.id,
    positional_args => array(select json_array_elements(w.args::json)), priority => w.priority, app_version => w.shape,
    delay_until_epoch_ms => case when w.delay > 0
        then ((extract(epoch from clock_timestamp()) + w.delay) * 1000)::bigint end)) as count
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[], $6::double precision[], $7::text[])
    as w (workflow, queue, id, args, priority, delay, shape)
"""
_ACTIVE: Final = """
select workflow_uuid from dbos.workflow_status
where workflow_uuid = any($1::text[]) and status in ('ENQUEUED', 'DELAYED', 'PENDING')
"""


def enqueue(
    writes: GathersWrites,
    *,
    workflow: str,
    workflow_id: str,
    args: Sequence[str | int],
    queue: str,
    priority: int = ROUTINE,
    delay: float = 0.0,
    shape: str = CURRENT.name,
) -> None:
    """Have `writes` enqueue `workflow` under `workflow_id`, at most once per id, `delay` seconds from now.

    `args` are ids only: what a workflow works on is read from the record when it runs. `priority` is 1 (first) to
    100. Only workers of `shape` take it: that of what it works on, for something new that of this release. The SQL
    function is DBOS's own (docs.dbos.dev, "Enqueueing from SQL").
    """
    encoded = msgspec.json.encode(args).decode()
    writes.row(_ENQUEUE, workflow, queue, workflow_id, encoded, priority, delay, shape, returning="count")


def enqueue_all(
    writes: GathersWrites,
    *,
    workflow: str,
    queue: str,
    args: Mapping[str, Sequence[str | int]],
    priority: int = ROUTINE,
) -> None:
    """Have `writes` enqueue `workflow` once for each workflow id in `args`, all of them new; otherwise as `enqueue`."""
    encoded = [msgspec.json.encode(some).decode() for some in args.values()]
    # Without somebody who asks for the count, PostgreSQL would leave the select out.
    writes.add(_ENQUEUE_ALL, workflow, queue, list(args), encoded, priority, CURRENT.name, returning="count")


async def still_active(connection: Connection, workflow_ids: Sequence[str]) -> frozenset[str]:
    """Those of `workflow_ids` that wait or run: the rest have ended, well or badly, or never were."""
    rows = await connection.fetch(_ACTIVE, list(workflow_ids))
    return frozenset(row["workflow_uuid"] for row in rows)
