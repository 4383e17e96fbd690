"""Reading a system's own list of items: one reading at a time, with what of it is refused kept until it is mended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from msgspec.structs import replace

from gateway.canonical.capabilities import Call, ReadsItems
from gateway.canonical.item import ReportedItem
from gateway.kernel.clock import Clock
from gateway.kernel.errors import CrossdockError
from gateway.reference import readings
from gateway.reference.outcomes import Refusal
from gateway.reference.readings import Read, Reading
from gateway.store.postgres import Store
from process_apis.items.models import DOMAIN, RefusedItem, SyncReport

_OF_PACKS: Final = ("item.unit_", "item.factor_")


class Adopts(Protocol):
    """Takes one page of a reading, in one transaction."""

    async def __call__(
        self, tenant: str, source: str, reported: Sequence[ReportedItem], correlation_id: str, reading: Reading | None
    ) -> SyncReport:
        """Take `reported`; raises `Conflict` (``reference.reading_taken_over``) when another reading began since."""
        ...


async def read_list(
    store: Store, clock: Clock, call: Call, source: str, reader: ReadsItems, adopt: Adopts
) -> SyncReport:
    """Read the whole list, page by page; each page has as long as `call` has at first, for lists are long."""
    reading = await readings.begin(store, call.tenant, DOMAIN, source)
    began_at, allowed = clock.now(), call.deadline - clock.monotonic()
    total, listed, cursor = SyncReport(), 0, None
    try:
        while True:
            page = await reader.read_items(replace(call, deadline=clock.monotonic() + allowed), cursor=cursor)
            total = total.plus(await adopt(call.tenant, source, page.items, call.correlation_id, reading))
            listed, cursor = listed + len(page.items), page.next_cursor
            if cursor is None:
                break
        async with store.transaction() as connection:
            await readings.hold(connection, reading)
            read = Read(source=source, whole=True, listed=listed, created=total.created, changed=total.changed)
            await readings.end(connection, reading, read, began_at, clock.now())
    except CrossdockError as error:
        await readings.fail(store, reading, error.detail)
        raise
    return total


def refusals_of(refused: Sequence[RefusedItem], others: Sequence[Refusal]) -> list[Refusal]:
    """What a page is refused for, by the source's codes: what cannot be read as an item, then what cannot hold."""
    unread = [
        Refusal(each.source_code, "packs" if each.code.startswith(_OF_PACKS) else "code", each.code, each.detail)
        for each in refused
    ]
    return [*unread, *others]
