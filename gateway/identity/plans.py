"""Plans in the record: what a partner may use, by name. A change reaches every worker with the revocation epoch.

What stands in `limits` is the business of the limits policy (`PlanLimits`); whoever administers has it checked first.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.canonical.capabilities import Connection
from gateway.identity.changes import record_change
from gateway.identity.preconditions import check_version
from gateway.kernel.errors import Conflict, NotFound
from gateway.store.queries import queries_beside

_sql = queries_beside(__file__)
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode

PlanKey = tuple[str, str]


class Plan(Struct, frozen=True, kw_only=True):
    """One plan. `limits` has the shape of the settings ``rate_limit.plans.<name>``; `version` counts its changes."""

    name: str
    description: str
    limits: dict[str, Any]
    version: int
    changed_at: datetime


async def add_plan(
    connection: Connection, *, tenant: str, name: str, description: str, limits: Mapping[str, Any], actor: str = "cli"
) -> Plan:
    """Add a plan, in the caller's transaction. Raises `Conflict` (code ``plan.exists``)."""
    encoded = msgspec.json.encode(limits).decode()
    if await connection.fetchval(_sql.add_plan, tenant, name, description, encoded) is None:
        raise Conflict(f"there is already a plan {name}: change it instead", code="plan.exists")
    await _changed(connection, tenant, actor, "plan.added", name, limits)
    return await find_plan(connection, tenant=tenant, name=name)


async def change_plan(
    connection: Connection,
    *,
    tenant: str,
    name: str,
    description: str,
    limits: Mapping[str, Any],
    expected: int | None = None,
    actor: str = "cli",
) -> Plan:
    """Replace a plan's limits. Raises `NotFound`, or `Conflict` (``precondition.failed``) past version `expected`."""
    check_version(await connection.fetchval(_sql.lock_plan, tenant, name), expected, _unknown(name))
    await connection.execute(_sql.change_plan, tenant, name, description, msgspec.json.encode(limits).decode())
    await _changed(connection, tenant, actor, "plan.changed", name, limits)
    return await find_plan(connection, tenant=tenant, name=name)


async def drop_plan(
    connection: Connection, *, tenant: str, name: str, expected: int | None = None, actor: str = "cli"
) -> None:
    """Remove a plan that nobody is on. Raises `NotFound` or `Conflict` (code ``plan.in_use``)."""
    check_version(await connection.fetchval(_sql.lock_plan, tenant, name), expected, _unknown(name))
    if await connection.fetchval(_sql.plan_has_partners, tenant, name):
        raise Conflict(f"partners are on the plan {name}: move them to another one first", code="plan.in_use")
    await connection.execute(_sql.drop_plan, tenant, name)
    await _changed(connection, tenant, actor, "plan.removed", name, {})


async def find_plan(connection: Connection, *, tenant: str, name: str) -> Plan:
    """One plan of the record; raises `NotFound` (code ``plan.not_found``)."""
    row = await connection.fetchrow(_sql.plan, tenant, name)
    if row is None:
        raise _unknown(name)
    return _plan(row)


async def list_plans(connection: Connection, *, tenant: str) -> list[Plan]:
    """All plans of the record, by name. Those of the settings are not among them."""
    return [_plan(row) for row in await connection.fetch(_sql.list_plans, tenant)]


async def all_limits(connection: Connection) -> dict[PlanKey, dict[str, Any]]:
    """The limits of every plan by tenant and name."""
    rows = await connection.fetch(_sql.all_plans)
    return {(row["tenant"], row["name"]): _decode(row["limits"]) for row in rows}


def _plan(row: Mapping[str, Any]) -> Plan:
    return Plan(
        name=row["name"],
        description=row["description"],
        limits=_decode(row["limits"]),
        version=row["version"],
        changed_at=row["changed_at"],
    )


def _unknown(name: str) -> NotFound:
    return NotFound(f"the record has no plan {name[:80]}: crossdock plan list shows them", code="plan.not_found")


async def _changed(
    connection: Connection, tenant: str, actor: str, action: str, name: str, limits: Mapping[str, Any]
) -> None:
    await connection.execute(_sql.bump_epoch)
    await record_change(connection, tenant, actor, action, f"plan:{name}", {"limits": limits})
