"""Ended workflows are kept for a while and then deleted: what they did is in their process's own tables."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from gateway.canonical.capabilities import Connection

_PRUNE: Final = """
with ended as (
    select workflow_uuid from dbos.workflow_status
    where status in ('SUCCESS', 'CANCELLED')
      and completed_at < (extract(epoch from now()) - $1::double precision) * 1000
    limit $2
), steps as (
    delete from dbos.operation_outputs where workflow_uuid in (select workflow_uuid from ended)
), inputs as (
    delete from dbos.workflow_input where workflow_uuid in (select workflow_uuid from ended)
), outputs as (
    delete from dbos.workflow_output where workflow_uuid in (select workflow_uuid from ended)
), gone as (
    delete from dbos.workflow_status where workflow_uuid in (select workflow_uuid from ended) returning 1
)
select count(*) from gone
"""


async def prune_workflows(connection: Connection, *, older_than: timedelta, limit: int = 1000) -> int:
    """Delete up to `limit` workflows that ended well, or were cancelled, before `older_than`; returns how many.

    Failed ones stay until somebody has looked.
    """
    count: int = await connection.fetchval(_PRUNE, older_than.total_seconds(), limit)
    return count
