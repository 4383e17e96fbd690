"""What people look at: purchases with what holds them up, and one with all that was said, booked and told of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Recorded
from gateway.kernel.clock import Clock
from gateway.store.log_reader import LogReader
from gateway.store.postgres import Store
from process_apis.procure_to_pay.awaiting import Awaited, awaited
from process_apis.procure_to_pay.models import Purchase
from process_apis.procure_to_pay.posting import Posting, postings_of, unfinished_postings
from process_apis.procure_to_pay.records import Document, documents_of, load, sql


class Entry(Struct, frozen=True, kw_only=True):
    """A purchase in a list. `supplier` is a name; `unbooked` what the ERP has not taken yet."""

    purchase: Purchase
    supplier: str | None
    awaited: Awaited | None
    unbooked: Sequence[Posting]


class Dossier(Struct, frozen=True, kw_only=True):
    """One purchase with everything about it: documents and postings as they came, events oldest first."""

    purchase: Purchase
    supplier: str | None
    awaited: Awaited | None
    documents: Sequence[Document]
    postings: Sequence[Posting]
    events: Sequence[Recorded]


class Dossiers:
    """Reads of the record; changes nothing."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._log = LogReader()

    async def entries(self, tenant: str, purchases: Sequence[Purchase]) -> Sequence[Entry]:
        """The same purchases, each with what holds it up."""
        async with self._store.connection() as connection:
            names = await _names(connection, tenant, purchases)
            unfinished = await unfinished_postings(connection, [each.purchase for each in purchases])
        return [
            Entry(
                purchase=each,
                supplier=names.get(each.supplier or ""),
                awaited=self._awaited(each),
                unbooked=[posting for posting in unfinished if posting.purchase == each.purchase],
            )
            for each in purchases
        ]

    async def get(self, tenant: str, purchase: str) -> Dossier:
        """One purchase; raises `NotFound`."""
        async with self._store.connection() as connection:
            known = await load(connection, purchase, tenant)
            names = await _names(connection, tenant, [known])
            return Dossier(
                purchase=known,
                supplier=names.get(known.supplier or ""),
                awaited=self._awaited(known),
                documents=await documents_of(connection, purchase),
                postings=await postings_of(connection, purchase),
                events=await self._log.read_aggregate(connection, tenant, purchase),
            )

    def _awaited(self, purchase: Purchase) -> Awaited | None:
        now: datetime = self._clock.now()
        return awaited(purchase, now.date())


async def _names(connection: Connection, tenant: str, purchases: Sequence[Purchase]) -> dict[str, str]:
    suppliers = sorted({each.supplier for each in purchases if each.supplier})
    rows = await connection.fetch(sql.supplier_names, tenant, suppliers) if suppliers else ()
    return {row["supplier"]: row["name"] for row in rows}
