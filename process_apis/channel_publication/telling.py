"""A channel is told how the orders that it sold go on: each change once, whoever dies on the way.

An update is written down, with its id, before it is sent, and stays as it is until the channel has answered: it takes
the same one again without effect. What it does not take is a person's, and stops no other order and no figure; nor does
what a later release left behind in words of its own, which waits for that release.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct, ValidationError

from gateway.canonical.capabilities import Call, TakesOrderUpdates, TellsProgress
from gateway.canonical.channel import ChannelProgress, ChannelUpdate
from gateway.kernel.errors import Conflict, CrossdockError, NotFound, Rejected, Throttled
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.channel_publication.telling_rules import next_update

_sql: Final = queries_beside(__file__, "telling_queries.sql")
_FIRST_RETRY_S: Final = 1.0
_UNREADABLE: Final = "channel.update_unreadable"
_LONGEST: Final = 500
_progress: Final = msgspec.json.Decoder(ChannelProgress).decode
_update: Final = msgspec.json.Decoder(ChannelUpdate).decode


class _Begun(Struct, frozen=True):
    """An order that was looked at; without an `update` there is nothing to be sent of it."""

    order_id: str
    update: ChannelUpdate | None = None


class Teller:
    """Tells one channel. One worker at a time does, by the channel's lease; two would tell the same, once."""

    def __init__(
        self, store: Store, tenant: str, channel: str, *, updates: TakesOrderUpdates, progress: TellsProgress
    ) -> None:
        self._store = store
        self._key = (tenant, channel)
        self._updates = updates
        self._progress = progress

    async def tell(self, call: Call) -> bool:
        """Tell what is due of one order; whether there was one. Raises `Throttled` while its budget is used up."""
        begun = await self._begin()
        if begun is None or begun.update is None:
            return begun is not None
        key = (*self._key, begun.order_id)
        try:
            await self._updates.update_order(call, update=begun.update)
        except Throttled:
            raise
        except (Rejected, NotFound, Conflict) as error:
            await self._store.execute(_sql.refused, *key, *_said(error))
        except CrossdockError as error:
            await self._store.execute(_sql.later, *key, *_said(error), _FIRST_RETRY_S)
        else:
            await self._store.execute(_sql.told, *key)
        return True

    async def _begin(self) -> _Begun | None:
        """The update of the order that is due first, written down."""
        tenant, _ = self._key
        async with self._store.transaction() as connection:
            row = await connection.fetchrow(_sql.next_due, *self._key)
            if row is None:
                return None
            order_id = row["order_id"]
            try:
                if row["asked"] is not None:
                    return _Begun(order_id, _update(row["asked"]))
                told = _told(row)
            except ValidationError as error:
                code, detail = _UNREADABLE, f"a later release wrote what it is told, this one cannot read it: {error}"
                await connection.execute(_sql.later, *self._key, order_id, code, detail[:_LONGEST], _FIRST_RETRY_S)
                return _Begun(order_id)
            now = await self._progress.channel_progress(connection, tenant=tenant, order=order_id)
            try:
                update = None if now is None else next_update(order_id, told, now, row["updates"])
            except Conflict as error:
                await connection.execute(_sql.refused, *self._key, order_id, *_said(error))
                return _Begun(order_id)
            if update is None:
                await connection.execute(_sql.nothing_new, *self._key, order_id, row["revision"])
                return _Begun(order_id)
            asked, after = (msgspec.json.encode(each).decode() for each in (update, now))
            await connection.execute(_sql.ask, *self._key, order_id, asked, after, row["revision"])
            return _Begun(order_id, update)


def _told(row: Any) -> ChannelProgress | None:
    return None if row["told"] is None else _progress(row["told"])


def _said(error: CrossdockError) -> tuple[str, str]:
    return error.code, error.detail[:_LONGEST]
