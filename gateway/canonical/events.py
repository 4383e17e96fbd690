"""The event taxonomy: every event type that the log carries, its version and what it is about.

An event is written to the log in the transaction that made it true, carried by JetStream, and shown to the outside
as a CloudEvent (1.0.2) whose ``type`` is ``<prefix>.<type>.v<version>``. Old versions are upcast on reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import Struct


class EventType(Struct, frozen=True):
    """One entry of the taxonomy. `together`: those of a transaction share a row of the log.

    `bulky`: its data are lists that are only read whole; the log keeps them as text, neither parsed nor compressed.
    """

    name: str
    version: int
    aggregate: str
    meaning: str
    together: bool = False
    bulky: bool = False


TAXONOMY: Final[dict[str, EventType]] = {
    entry.name: entry
    for entry in (
        EventType(
            "stock.movement_recorded",
            1,
            "movement",
            "a movement of an order was recorded, or one that replaces another",
        ),
        EventType(
            "stock.movements_recorded",
            2,
            "movements",
            "movements that name no order were recorded together",
            bulky=True,
        ),
        EventType("stock.movement_parked", 1, "movement", "a movement could not be mapped and waits for a person"),
        EventType("stock.snapshot_applied", 1, "snapshot", "absolute figures were applied; drift is in the data"),
        EventType(
            "stock.position_negative", 1, "stock_line", "a physical figure fell below zero: kept, and to be looked at"
        ),
        EventType("stock.holder_switched", 1, "location", "another source holds a location from now on"),
        *(
            EventType(f"stock.transfer.{name}", 1, "transfer", meaning)
            for name, meaning in (
                ("planned", "a transfer between locations was planned, its goods promised to it at the origin"),
                ("released", "the origin took the work of a transfer on"),
                ("refused", "the origin refused a transfer: it waits for a person"),
                ("dispatched", "goods of a transfer left"),
                ("received", "goods of a transfer came in"),
                ("corrected", "a movement of a transfer was taken back by its source"),
                ("completed", "all of a transfer that was asked left and came in"),
                ("closed", "a person said where what is missing of a transfer is, and that it will not come"),
                ("line_closed", "the same of some of its lines: the others stay open"),
                ("cancelled", "a transfer was given up, and its promise with it"),
                ("cancel_refused", "the origin works on a transfer that was to be cancelled: it goes on"),
            )
        ),
        *(
            EventType(f"stock.count.{name}", 1, "count", meaning)
            for name, meaning in (
                ("requested", "items of a location are to be counted"),
                ("recount_asked", "a count is off beyond tolerance: somebody else is to count again"),
                ("approval_asked", "counted twice and still off: people are to decide"),
                ("proposed", "one person agreed to a count that takes two"),
                ("agreed", "a count is believed, and told to who holds the goods"),
                ("refused", "who holds the goods refused a count, as when goods moved since: it is counted again"),
                ("entered", "part of a count is in the books"),
                ("applied", "a count is in the books"),
                ("rejected", "a count is not believed, or was given up"),
            )
        ),
        *(
            EventType(f"stock.status.{name}", 1, "status_change", meaning)
            for name, meaning in (
                ("requested", "goods are to be held, released, written off as damaged or restored"),
                ("accepted", "who holds the goods made a status change; its movement is on the way"),
                ("changed", "the movement of a status change is in the books"),
                ("refused", "who holds the goods refused a status change: it waits for a person"),
                ("withdrawn", "a status change is asked for no more"),
            )
        ),
        EventType(
            "availability.changed",
            2,  # as version 1, but for the row that it shares
            "stock_line",
            "what may be promised of one item at one location changed",
            together=True,
        ),
        EventType(
            "availability.kit_changed", 1, "kit", "how many of a kit can be made changed with a component, or anew"
        ),
        EventType("claim.made", 1, "order", "stock was promised to an order"),
        EventType("claim.ended", 1, "order", "a promise was fulfilled, released, expired or went to another order"),
        EventType("claim.extended", 1, "order", "reservations of an order expire at another time"),
        EventType(
            "claim.short", 1, "order", "part of what an order was promised is not there; all its claims are in it"
        ),
        EventType("claim.covered", 1, "order", "all that an order was promised is there again, or elsewhere"),
        EventType("supply.changed", 1, "supply", "a line of a purchase order or transfer was told, or told anew"),
        EventType("supply.overdue", 1, "supply", "a line did not come by its date: no supply until told anew"),
        EventType("claim.supplied", 1, "claim", "goods came in for a promise, and are held for it from now on"),
        EventType("claim.redated", 1, "claim", "a promise will be covered at another date than told before, or not"),
        *(
            EventType(name, 1, aggregate, meaning)
            for name, aggregate, meaning in (
                ("purchase_order.approved", "purchase", "an approved purchase order was checked and is its supplier's"),
                ("purchase_order.changed", "purchase", "lines of a purchase order changed in the ERP"),
                ("purchase_order.cancelled", "purchase", "a purchase order was cancelled in the ERP"),
                ("purchase_order.unmapped", "purchase", "a purchase order names what we don't know: it waits"),
                ("purchase_order.line_closed", "purchase", "a buyer said that what is open of a line will not come"),
                ("purchase_order.decided", "purchase", "a buyer took what departed from an order, or refused it"),
                ("supplier.acknowledged", "purchase", "a supplier answered a purchase order, line by line"),
                ("supplier.changed", "supplier", "a supplier was made known, or went on in its onboarding"),
                ("asn.received", "purchase", "a supplier told what is on its way"),
                ("goods.posted", "purchase", "goods of a purchase order came in, or a receipt was taken back"),
                ("goods.sent_back", "purchase", "goods of a purchase order went back to their supplier"),
                ("goods.booked", "purchase", "the ERP has booked goods of a purchase order that came in"),
                ("purchase_order.booking_refused", "purchase", "the ERP refused to book goods or an invoice"),
                ("invoice.booked", "purchase", "the ERP has booked a supplier's invoice"),
                ("invoice.state_reported", "purchase", "the ERP told how far a supplier's invoice is in its books"),
                ("invoice.received", "purchase", "a supplier's invoice came in"),
                ("invoice.matched", "purchase", "a supplier's invoice agrees with order and receipts"),
                ("invoice.blocked", "purchase", "a supplier's invoice does not agree: it waits for a person"),
                ("replenishment.threshold_breached", "replenishment", "an item fell to its reorder point at a place"),
                ("replenishment.recovered", "replenishment", "an item is above its reorder point again"),
            )
        ),
        EventType("item.changed", 1, "item", "an item was created or changed"),
        EventType("item.kit_changed", 1, "item", "an item is made of other components from now on, or of none"),
        EventType("item.substitutes_changed", 1, "item", "other items may stand in for an item, from when it says on"),
        EventType("location.changed", 1, "location", "a location, or a code that a system has for it, changed"),
        EventType("channel.oversold", 1, "channel_order", "a channel sold more than our stock could give"),
        EventType("channel.disagreed", 1, "channel_figure", "a channel showed what nothing that it told explains"),
        EventType("customer.changed", 1, "customer", "a customer, or a code that a system has for it, changed"),
        *(
            EventType(f"return.{name}", 1, "return", meaning)
            for name, meaning in (
                ("requested", "goods are to come back beyond what the rules allow: a person decides"),
                ("authorised", "goods of an order may come back"),
                ("refused", "goods of an order may not come back"),
                ("cancelled", "an authorisation was given up before anything came"),
                ("received", "goods of a return came in"),
                ("dispositioned", "it was decided about goods that came back, and done"),
                ("corrected", "a movement of a return was taken back by its source"),
                ("disposition_requested", "who holds returned goods is asked to put them where they belong"),
                ("disposition_refused", "who holds returned goods refused a disposition: it waits for a person"),
                ("disposition_withdrawn", "a disposition is asked for no more"),
                ("lines_refused", "goods that came back are not credited"),
                ("credit_requested", "the ERP is to credit what came back"),
                ("credit_refused", "the ERP refused a credit note: it waits for a person"),
                ("credited", "what came back was credited"),
                ("closed", "no more of a return is expected"),
            )
        ),
        EventType("order.accepted", 1, "order", "an order was accepted and its stock promised"),
        EventType("order.held", 1, "order", "an order waits for a person or for credit"),
        EventType("order.submitted", 1, "order", "the ERP confirmed the order"),
        EventType("order.released", 1, "order", "a warehouse accepted the work"),
        EventType("order.freight_booked", 1, "order", "a carrier took the goods of an order on"),
        EventType("order.milestone_reached", 1, "order", "a carrier told how far goods of an order are on their way"),
        EventType("order.shipment_confirmed", 1, "order", "goods of an order left a warehouse"),
        EventType("invoice.issued", 1, "order", "the ERP billed a shipment of an order"),
        EventType("order.invoiced", 1, "order", "all that was shipped of an order so far is billed"),
        EventType("order.completed", 1, "order", "everything ordered was shipped or cancelled and the order is closed"),
        EventType("order.cancelled", 1, "order", "an order, or what was open of it, was cancelled"),
        EventType("order.redated", 1, "order", "what waits of an order is expected at another date than told before"),
        EventType("order.shortened", 1, "order", "part of an order was cancelled; the rest goes on"),
        EventType("order.resumed", 1, "order", "somebody let a held order go on"),
        EventType("order.changed", 1, "order", "an order is served otherwise, or its buyer changed it"),
        EventType("order.change_refused", 1, "order", "what somebody asked of an order cannot be done: it goes on"),
        EventType("order.rejected", 1, "order", "an order was refused after acceptance; its claims were released"),
        EventType("order.exception_raised", 1, "order", "an order needs a person; nothing it holds was given up"),
        EventType("exception.raised", 1, "exception", "something stands still, or does so again: it is in the queue"),
        EventType("exception.resolved", 1, "exception", "what stood still went on, or somebody decided to let it be"),
    )
}

Upcast = Callable[[dict[str, Any]], dict[str, Any]]
Upcasts = Mapping[tuple[str, int], Upcast]
"""For an event type and an old version of it, how its data become those of the next version."""

UPCASTS: Final[Upcasts] = {
    ("availability.changed", 1): lambda data: data,
    ("stock.movements_recorded", 1): lambda data: data,  # movements_told() reads both
}


def movements_told(data: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Each movement that data of `stock.movement_recorded` or `stock.movements_recorded` tell of, as the former does.

    Of the latter, version 2 has the names once (`fields`) and the values of each movement in `movements`; version 1 had
    an object for each.
    """
    if "movements" not in data:
        yield dict(data)
        return
    fields = data.get("fields")
    for each in data["movements"]:
        yield each if fields is None else dict(zip(fields, each, strict=True))


class Event(Struct, frozen=True, kw_only=True):
    """One fact on its way into the log. `aggregate_version` is bumped under the aggregate's row lock."""

    tenant: str
    type: str
    aggregate: str
    aggregate_version: int
    occurred_at: datetime
    data: dict[str, Any]
    correlation_id: str
    causation_id: str | None = None
    stream: str = "main"


class Alike(Struct, frozen=True, kw_only=True):
    """Events of one kind that happened at once and share rows of the log, by their values alone.

    Each of `events` is its aggregate, aggregate_version, correlation_id and causation_id, then a value for each of
    `fields`; a field with ``?`` behind its name is left out of the data of those that have None there.
    """

    tenant: str
    type: str
    occurred_at: datetime
    fields: Sequence[str]
    events: Sequence[Sequence[Any]]
    stream: str = "main"


class Position(Struct, frozen=True, order=True):
    """A place in the log: the log epoch (raised by fail-over or restore), the writing transaction, the event's number.

    Numbers rise and leave gaps. Those of events that share a row follow each other.
    """

    epoch: int
    transaction: int
    event: int


class Recorded(Struct, frozen=True, kw_only=True):
    """An event read back from the log, with its place and the instant it was recorded."""

    position: Position
    recorded_at: datetime
    event: Event
    version: int = 1
