"""What carriers report of goods on their way: kept with the order's freight, each once, and told."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from gateway.canonical.capabilities import Connection
from gateway.canonical.freight import MilestoneKind, ReportedMilestone
from gateway.canonical.order import order_of
from gateway.kernel.errors import NotFound
from gateway.store.postgres import Store
from process_apis.order_to_ship.freight_rules import consignment_reference, with_freight
from process_apis.order_to_ship.models import ExceptionClass, Finding, Freight, Milestone, Order
from process_apis.order_to_ship.records import Change, lock
from process_apis.order_to_ship.releases import split_target

_MOST: Final = 500
_KIND: Final = "milestone"
_WRONG: Final = {
    MilestoneKind.FAILED: "could not be delivered: agree on another day or address with the customer",
    MilestoneKind.RETURNED: "is on its way back: expect it at the location, and credit or send it again",
}
_log: Final = logging.getLogger(__name__)


class Milestones:
    """Implements `RecordsMilestones`. Carriers report again what they reported: each counts once."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def record_milestones(self, tenant: str, milestones: Sequence[ReportedMilestone]) -> None:
        """Returns when they are committed; what names no goods of this tenant's orders is left alone."""
        by_order: dict[str, list[ReportedMilestone]] = defaultdict(list)
        for each in milestones:
            order, _ = order_of(each.reference.partition("/")[0])
            by_order[order or ""].append(each)
        for order_id in sorted(by_order):
            async with self._store.transaction() as connection:
                await self._record(connection, tenant, order_id, by_order[order_id])

    async def _record(
        self, connection: Connection, tenant: str, order_id: str, milestones: Sequence[ReportedMilestone]
    ) -> None:
        try:
            order, now = await lock(connection, order_id)
        except NotFound:
            order = None
        if order is None or order.tenant != tenant:
            _log.warning("%s reported of %s, which is no order of ours", milestones[0].source, order_id)
            return
        change = Change(connection, order, now)
        for each in sorted(milestones, key=lambda one: one.occurred_at):
            _note(change, each)
        await change.save()


def _note(change: Change, reported: ReportedMilestone) -> None:
    freight = _named(change.order, reported.reference)
    if freight is None or len(freight.milestones) >= _MOST:
        _log.warning("%s reported of %s, where nothing is awaited", reported.source, reported.reference)
        return
    if freight.carrier not in (None, reported.source) or any(
        each.event_id == reported.event_id for each in freight.milestones
    ):
        return
    made = Milestone(
        event_id=reported.event_id,
        kind=reported.kind,
        tracking=reported.tracking,
        occurred_at=reported.occurred_at,
        place=reported.place,
    )
    milestones = tuple(sorted((*freight.milestones, made), key=lambda each: each.occurred_at))
    change.set(freight=with_freight(change.order, replace(freight, milestones=milestones)).freight)
    change.tell(
        "order.milestone_reached",
        location=split_target(freight.target)[0],
        milestone=made.kind,
        tracking=made.tracking,
        reached_at=made.occurred_at.isoformat(),
        place=made.place,
    )
    _judge(change, reported, freight.target)


def _judge(change: Change, reported: ReportedMilestone, target: str) -> None:
    """Raise what a person has to see; what was delivered after all resolves it."""
    parcel = f"{target}/{reported.tracking}"
    if reported.kind is MilestoneKind.DELIVERED:
        change.resolve(_KIND, parcel, by="crossdock", resolution="the carrier delivered it")
    if (what := _WRONG.get(reported.kind)) is None:
        return
    change.find(
        Finding(
            exception=ExceptionClass.CLASHED,
            fault_domain=reported.source,
            code=f"freight.{reported.kind}",
            detail=f"parcel {reported.tracking} {what}" + (f" ({reported.note[:200]})" if reported.note else ""),
            blocking=False,
            kind=_KIND,
            target=parcel,
        )
    )


def _named(order: Order, reference: str) -> Freight | None:
    return next((each for each in order.freight if consignment_reference(order, each.target) == reference), None)
