"""Who publishes, enriches, validates and consumes each attribute: versioned data, kept with who changed it and why."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.canonical.capabilities import Connection
from gateway.kernel.clock import Clock
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict, Rejected
from gateway.reference.survivorship import ANY, DEFAULT, Ownership
from gateway.store.audit import record_audit
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside

_sql: Final = queries_beside(__file__)
_LONGEST_SOURCE: Final = 200
_decode: Final = msgspec.json.Decoder(dict[str, Ownership]).decode
_encode: Final = msgspec.json.encode


class Matrix(Struct, frozen=True, kw_only=True):
    """The ownership of one domain's attributes. Version 1 is what holds until somebody decides otherwise."""

    version: int
    attributes: Mapping[str, Ownership]
    actor: str | None = None
    note: str = ""
    made_at: datetime | None = None


async def matrix_of(connection: Connection, tenant: str, domain: str, attributes: Sequence[str]) -> Matrix:
    """What holds for `domain`; attributes that the record does not name are owned as `DEFAULT` says."""
    row = await connection.fetchrow(_sql.newest_ownership, tenant, domain)
    return Matrix(version=1, attributes=dict.fromkeys(attributes, DEFAULT)) if row is None else _of_row(row, attributes)


async def held_matrix(store: Store, tenant: str, domain: str, attributes: Sequence[str]) -> Matrix:
    """What holds for `domain` now."""
    async with store.connection() as connection:
        return await matrix_of(connection, tenant, domain, attributes)


async def own(
    store: Store,
    clock: Clock,
    caller: Caller,
    domain: str,
    attributes: Mapping[str, Ownership],
    *,
    known: Sequence[str],
    expected: int,
    note: str,
    lock: Callable[[Connection], Awaitable[int]],
    recount: Callable[[Connection, int], Awaitable[None]] | None = None,
) -> Matrix:
    """`change_matrix` in a transaction of its own, under the domain's `lock`, in which `recount` lets records follow.

    `recount` gets what `lock` returned, the version of the domain's records from now on; a domain that counts when it
    is read needs none.
    """
    async with store.transaction() as connection:
        version = await lock(connection)
        made = await change_matrix(
            connection,
            clock,
            tenant=caller.tenant,
            domain=domain,
            attributes=attributes,
            known=known,
            expected=expected,
            actor=caller.principal.subject,
            note=note,
            correlation_id=caller.correlation_id,
        )
        if recount is not None:
            await recount(connection, version)
    return made


async def change_matrix(
    connection: Connection,
    clock: Clock,
    *,
    tenant: str,
    domain: str,
    attributes: Mapping[str, Ownership],
    known: Sequence[str],
    expected: int,
    actor: str,
    note: str,
    correlation_id: str,
) -> Matrix:
    """Make `attributes` the ownership of `domain`; those of `known` that it leaves out are owned as before.

    Raises `Rejected` for an attribute or a ranking that cannot be, `Conflict` (``precondition.failed``) when the
    version that holds is not `expected` any more. Asking for what holds already changes nothing, whatever version was
    seen (RFC 9110, section 13.1.1): it is a repetition.
    """
    _check(attributes, known)
    await connection.execute(_sql.lock_ownership, tenant, domain)
    before = await matrix_of(connection, tenant, domain, known)
    made = {**before.attributes, **attributes}
    if made == before.attributes:
        return before
    if before.version != expected:
        raise Conflict(
            f"somebody changed the ownership since version {expected} (now {before.version}): read it again",
            code="precondition.failed",
        )
    now, version = clock.now(), before.version + 1
    await connection.execute(_sql.add_ownership, tenant, domain, version, _encode(made).decode(), actor, note, now)
    await record_audit(
        connection,
        tenant=tenant,
        actor=actor,
        action="reference.ownership_changed",
        subject=f"ownership/{domain}",
        outcome="done",
        correlation_id=correlation_id,
        detail={"version": version, "attributes": sorted(attributes), "note": note},
    )
    return Matrix(version=version, attributes=made, actor=actor, note=note, made_at=now)


def _of_row(row: Any, attributes: Sequence[str]) -> Matrix:
    said = _decode(row["attributes"])
    return Matrix(
        version=row["version"],
        attributes={attribute: said.get(attribute, DEFAULT) for attribute in attributes},
        actor=row["actor"],
        note=row["note"],
        made_at=row["made_at"],
    )


def _check(attributes: Mapping[str, Ownership], known: Sequence[str]) -> None:
    for attribute, ownership in attributes.items():
        if attribute not in known:
            raise Rejected(
                f"there is no attribute {attribute[:60]!r}: name one of {', '.join(known)}", code="ownership.attribute"
            )
        ranked = [*ownership.publishes, *ownership.enriches]
        if not ownership.publishes:
            raise Rejected(
                f"{attribute}: nobody publishes it: name a source, or * for any", code="ownership.no_publisher"
            )
        if len(set(ranked)) != len(ranked) or ANY in (*ownership.enriches, *ownership.validates):
            raise Rejected(
                f"{attribute}: each source stands once in publishes and enriches together, and * in publishes only",
                code="ownership.ranking",
            )
        if any(not 0 < len(name) <= _LONGEST_SOURCE for name in (*ranked, *ownership.validates, *ownership.consumes)):
            raise Rejected(f"{attribute}: a name has 1 to {_LONGEST_SOURCE} characters", code="ownership.name")
