"""Orders that a channel would not be told of, and figures that stay apart from ours, in the queue of exceptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec

from gateway.canonical.capabilities import Connection, TellsProgress
from gateway.canonical.trouble import Effect, Trouble, TroubleClass, Verb, settled_meanwhile
from gateway.kernel.context import Caller
from gateway.store.queries import queries_beside
from process_apis.channel_publication.models import Cause

_sql: Final = queries_beside(__file__, "telling_queries.sql")
_figures: Final = queries_beside(__file__, "figure_queries.sql")
_SET_RIGHT_WITHIN: Final = timedelta(minutes=5)


class TellingTroubles:
    """`key` is ``<channel>/<order>``. `systems` are the instances behind channels, by channel."""

    kind = "channel"
    mended = "it follows from the order: change the order, then retry"

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


class FigureTroubles:
    """`key` is ``<channel>/<item>``. A retry looks and sets it again; ignoring it lets the channel show what it shows.

    What is let be is told again where the channel is found apart once more. `systems` as above.
    """

    kind = "channel_figure"
    mended = "it follows from stock and the channel's rule: change those, then retry"

    def __init__(self, systems: Mapping[str, str]) -> None:
        self._systems = systems

    async def troubles(self, connection: Connection, tenant: str, *, limit: int) -> Sequence[Trouble]:
        """What a channel refuses, does not sell any more, or shows otherwise for longer than it takes to set right."""
        rows = await connection.fetch(_figures.troubles, tenant, _SET_RIGHT_WITHIN, limit)
        return [self._trouble(row) for row in rows]

    async def retry(self, connection: Connection, caller: Caller, key: str) -> None:
        """Look what the channel shows, and set what it should, at once."""
        await self._open(connection, caller.tenant, key)
        await connection.execute(_figures.look_again, caller.tenant, *_named(key))

    async def ignore(self, connection: Connection, caller: Caller, key: str, reason: str) -> None:  # noqa: ARG002 - kept by the queue
        """Close it as it stands."""
        await connection.execute(_figures.leave, await self._open(connection, caller.tenant, key))

    async def _open(self, connection: Connection, tenant: str, key: str) -> int:
        number = await connection.fetchval(_figures.lock_open, tenant, *_named(key))
        _over_unless(number)
        return int(number)

    def _trouble(self, row: Any) -> Trouble:
        cause = Cause(row["cause"])
        error_class, effect, does = _FIGURES[cause]
        shows = "nothing" if row["found"] is None else row["found"]
        said = f" ({row['detail']})" if row["detail"] else ""
        return Trouble(
            key=f"{row['channel']}/{row['item']}",
            error_class=error_class,
            effect=effect,
            fault_domain=self._systems.get(row["channel"], row["channel"]),
            code=f"channel.{cause}",
            detail=f"{row['channel']} {does} {row['sku']}: it shows {shows}, ours is {row['expected']}{said}",
            about=row["sku"],
            count=1,
            raised_at=row["found_at"],
            last_at=row["last_at"],
            by_itself_at=row["not_before"] if row["by_itself"] else None,
            verbs=(Verb.RETRY, Verb.IGNORE),
        )


_FIGURES: Final = {
    Cause.CHANGED_THERE: (TroubleClass.BUSINESS, Effect.OVERSELLS, "shows another figure than ours of"),
    Cause.VANISHED: (TroubleClass.MAPPING, Effect.DELAYS, "does not sell any more"),
    Cause.REFUSED: (TroubleClass.VALIDATION, Effect.OVERSELLS, "refuses the figure of"),
}


def _named(key: str) -> tuple[str, str]:
    channel, _, order = key.rpartition("/")
    return channel, order


def _over_unless(found: Any) -> None:
    if found is None:
        raise settled_meanwhile()
