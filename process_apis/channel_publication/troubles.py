"""Orders that a channel would not be told of, in the queue of exceptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.canonical.capabilities import Connection, TellsProgress
from gateway.canonical.trouble import Effect, Trouble, TroubleClass, Verb, settled_meanwhile
from gateway.kernel.context import Caller
from gateway.store.queries import queries_beside

_sql: Final = queries_beside(__file__, "telling_queries.sql")


class TellingTroubles:
    """`key` is ``<channel>/<order>``. `systems` are the instances behind channels, by channel."""

    kind = "channel"

    def __init__(self, systems: Mapping[str, str], progress: TellsProgress) -> None:
        self._systems = systems
        self._progress = progress

    async def troubles(self, connection: Connection, tenant: str, *, limit: int) -> Sequence[Trouble]:
        """What was refused, and what failed again and again; that goes on by itself."""
        return [self._trouble(row) for row in await connection.fetch(_sql.troubles, tenant, limit)]

    async def retry(self, connection: Connection, caller: Caller, key: str) -> None:
        """Tell the channel again, what is true by now."""
        _over_unless(await connection.fetchval(_sql.again, caller.tenant, *_named(key)))

    async def ignore(self, connection: Connection, caller: Caller, key: str, reason: str) -> None:  # noqa: ARG002 - kept by the queue
        """Somebody told the channel by hand: it counts as told, as things stand."""
        channel, order = _named(key)
        now = await self._progress.channel_progress(connection, tenant=caller.tenant, order=order)
        text = None if now is None else msgspec.json.encode(now).decode()
        _over_unless(await connection.fetchval(_sql.leave, caller.tenant, channel, order, text))

    def _trouble(self, row: Any) -> Trouble:
        refused = row["refused_at"] is not None
        return Trouble(
            key=f"{row['channel']}/{row['order_id']}",
            error_class=TroubleClass.BUSINESS if refused else TroubleClass.VENDOR_OUTAGE,
            effect=Effect.TELLS_LATE,
            fault_domain=self._systems.get(row["channel"], row["channel"]),
            code=row["error_code"],
            detail=f"{row['channel']} was not told how {row['order_id']} goes on: {row['error_detail']}",
            about=row["order_id"],
            count=1 + row["failures"],
            raised_at=row["refused_at"] or row["changed_at"],
            last_at=row["changed_at"],
            verbs=(Verb.RETRY, Verb.IGNORE) if refused else (Verb.RETRY,),
        )


def _named(key: str) -> tuple[str, str]:
    channel, _, order = key.rpartition("/")
    return channel, order


def _over_unless(found: Any) -> None:
    if found is None:
        raise settled_meanwhile()
