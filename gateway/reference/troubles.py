"""Refused records of systems' lists in the queue of exceptions: one trouble for each list and reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gateway.canonical.capabilities import Connection
from gateway.canonical.trouble import Effect, Trouble, TroubleClass, Verb, settled_meanwhile
from gateway.kernel.context import Caller
from gateway.store.queries import queries_beside

_sql: Final = queries_beside(__file__, "trouble_queries.sql")
_EFFECTS: Final = {"item": Effect.HIDES_STOCK, "customer": Effect.STOPS_ORDER}


class RefusalTroubles:
    """`key` is ``<domain>/<source>/<code>``: all records of a list that are refused for one reason.

    A retry has the worker read the whole list the next time. What is let be stays away until the list tells it
    otherwise. Nothing is edited here: a list is its system's own word, mended there, or overruled by a person's
    (`survivorship.py`).
    """

    kind = "refused_record"
    mended = "mend the record in its system's list, or state it as a person (steward), then retry"

    async def troubles(self, connection: Connection, tenant: str, *, limit: int) -> Sequence[Trouble]:
        """By list and reason, the eldest first."""
        return [_trouble(row) for row in await connection.fetch(_sql.troubles, tenant, limit)]

    async def retry(self, connection: Connection, caller: Caller, key: str) -> None:
        """Have the list read again, whole."""
        domain, source, code = _named(key)
        _over_unless(await connection.fetch(_sql.ask, caller.tenant, domain, source, code))
        await connection.execute(_sql.read_whole, caller.tenant, domain, source)

    async def ignore(self, connection: Connection, caller: Caller, key: str, reason: str) -> None:  # noqa: ARG002 - kept by the queue
        """Do without these records as they are told."""
        _over_unless(await connection.fetch(_sql.let_be, caller.tenant, *_named(key)))


def _trouble(row: Any) -> Trouble:
    number: int = row["number"]
    named = ", ".join(record[:40] for record in row["records"])
    more = f" and {number - len(row['records'])} more" if number > len(row["records"]) else ""
    return Trouble(
        key=f"{row['domain']}/{row['source']}/{row['code']}",
        error_class=TroubleClass.VALIDATION,
        effect=_EFFECTS.get(row["domain"], Effect.DELAYS),
        fault_domain=row["source"],
        code=row["code"],
        detail=f"{row['domain']}s of {row['source']} that are not taken: {named}{more}. The first: {row['detail']}",
        about=f"{row['domain']}s of {row['source']}",
        count=number,
        raised_at=row["raised_at"],
        last_at=row["last_at"],
        verbs=(Verb.RETRY, Verb.IGNORE),
    )


def _named(key: str) -> tuple[str, str, str]:
    domain, source, code = key.split("/", 2)
    return domain, source, code


def _over_unless(found: Sequence[Any]) -> None:
    if not found:
        raise settled_meanwhile()
