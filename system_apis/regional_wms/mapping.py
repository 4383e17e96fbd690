"""Wire ⇄ canonical, pure. Item, location and unit codes stay the WMS's own except for units known to the settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

from msgspec.structs import replace

from gateway.canonical.capabilities import Page, Report
from gateway.canonical.item import ReportedItem
from gateway.canonical.order import SalesLine, SalesOrder, WarehouseWork, WorkState
from gateway.canonical.stock import (
    Bucket,
    MovementType,
    OrderKey,
    ReportedFigure,
    ReportedMovement,
    ReportedSnapshot,
)
from gateway.canonical.warehouse import CountOrder, StatusOrder, TransferOrder, TransferOrderLine
from gateway.kernel.errors import BrokenUpstream, Rejected
from gateway.kernel.quantity import UnitConversion, plain
from system_apis.regional_wms import wire

_Meaning = TypeVar("_Meaning")

_BUCKETS: Final[Mapping[str, Bucket]] = {
    "RCV": Bucket.RECEIVING,
    "AVL": Bucket.SELLABLE,
    "PCK": Bucket.PICKED,
    "DMG": Bucket.DAMAGED,
    "RTN": Bucket.RETURNED,
    "QHD": Bucket.QUALITY_HOLD,
}
_STATES: Final = {bucket: state for state, bucket in _BUCKETS.items()}
_TYPES: Final[Mapping[str, MovementType]] = {
    "RCPT": MovementType.RECEIPT_POSTED,
    "PUTAWAY": MovementType.PUT_AWAY,
    "PICK": MovementType.PICK_CONFIRMED,
    "UNPICK": MovementType.UNPICKED,
    "SHIP": MovementType.SHIPMENT_CONFIRMED,
    "ADJ": MovementType.STOCK_ADJUSTED,
    "COUNT": MovementType.CYCLE_COUNTED,
    "XFER_OUT": MovementType.TRANSFER_DISPATCHED,
    "XFER_IN": MovementType.TRANSFER_RECEIVED,
    "RTN_IN": MovementType.RETURN_RECEIVED,
    "RTN_DISP": MovementType.RETURN_DISPOSITIONED,
    "STATUS": MovementType.STATUS_CHANGED,
}
# Only where the type itself leaves the bucket open (`ReportedMovement`).
_OPEN_FROM: Final = frozenset({MovementType.STATUS_CHANGED})
_OPEN_TO: Final = frozenset(
    {
        MovementType.RECEIPT_POSTED,
        MovementType.STOCK_ADJUSTED,
        MovementType.CYCLE_COUNTED,
        MovementType.RETURN_DISPOSITIONED,
        MovementType.STATUS_CHANGED,
    }
)
_WORK: Final[Mapping[str, WorkState]] = {
    "RELEASED": WorkState.RELEASED,
    "PICKING": WorkState.PICKING,
    "PARTIAL": WorkState.PICKING,
    "SHIPPED": WorkState.SHIPPED,
    "CANCELLED": WorkState.CANCELLED,
}


def report(source: str, events: tuple[wire.Event, ...], units: Mapping[str, str]) -> Report:
    """Every line of `events` as a movement of `source`; raises `BrokenUpstream` on a code outside the contract."""
    return Report(movements=tuple(movement(source, event, line, units) for event in events for line in event.lines))


def movement(source: str, event: wire.Event, line: wire.EventLine, units: Mapping[str, str]) -> ReportedMovement:
    """One event line. An adjustment is signed; a count is absolute; everything else is positive."""
    kind = _known(_TYPES, event.type, "event type")
    if event.occurred_at.tzinfo is None:
        raise BrokenUpstream(f"event {event.event_id} has a time without zone", code="wms.broken_contract")
    return ReportedMovement(
        source=source,
        event_id=event.event_id,
        line=line.line,
        order_key=OrderKey(event.epoch, event.sequence),
        type=kind,
        occurred_at=event.occurred_at,
        source_item=line.item_code,
        source_location=event.warehouse,
        amount=line.quantity,
        uom=units.get(line.unit, line.unit),
        from_bucket=_bucket(line.from_state) if kind in _OPEN_FROM or _was_picked(kind, line) else None,
        to_bucket=_bucket(line.to_state) if kind in _OPEN_TO else None,
        order_reference=event.client_reference,
        order_line=line.client_line,
        document=event.document,
        reason=event.reason,
        lot=line.lot,
        serial=line.serial,
        bin=line.bin,
        revision=event.revision,
        correlation_id=event.client_reference,
    )


def snapshot(source: str, stock: wire.StockSnapshot, units: Mapping[str, str]) -> ReportedSnapshot:
    """A full snapshot of the warehouses that it covers."""
    return ReportedSnapshot(
        source=source,
        event_id=stock.snapshot_id,
        cut_off=OrderKey(stock.epoch, stock.sequence_cutoff),
        taken_at=stock.taken_at,
        full=True,
        locations=stock.warehouses,
        figures=tuple(
            ReportedFigure(
                source_item=line.item_code,
                source_location=line.warehouse,
                bucket=_known(_BUCKETS, line.state, "stock state"),
                amount=line.quantity,
                uom=units.get(line.unit, line.unit),
                lot=line.lot,
            )
            for line in stock.lines
        ),
    )


def items(page: wire.ItemPage, units: Mapping[str, str]) -> Page:
    """A page of items under the WMS's own codes, with the depositor's SKU."""
    return Page(
        tuple(
            ReportedItem(
                source_code=item.item_code,
                sku=item.client_sku,
                name=item.description,
                base_uom=units.get(item.base_unit, item.base_unit),
                packs=tuple(UnitConversion(units.get(pack.unit, pack.unit), pack.quantity) for pack in item.packs),
                sellable=item.active,
            )
            for item in page.items
        ),
        page.next,
    )


def new_order(order: SalesOrder, *, warehouse: str, units: Mapping[str, str]) -> wire.NewOrder:
    """The lines of `order` that `warehouse` ships; raises `Rejected` when there are none."""
    lines = tuple(_order_line(line, units) for line in order.lines if line.location in (None, warehouse))
    if not lines:
        raise Rejected(f"no line of {order.order} ships from {warehouse}", code="wms.nothing_to_release")
    to = order.ship_to
    return wire.NewOrder(
        client_reference=order.order,
        warehouse=warehouse,
        ship_to=wire.ShipTo(
            name=to.name, street=to.street, city=to.city, postal_code=to.postal_code, country=to.country
        ),
        lines=lines,
        requested_ship_date=order.requested_date.isoformat() if order.requested_date else None,
    )


def work(order: wire.WmsOrder) -> WarehouseWork:
    """An order at the WMS as work."""
    return WarehouseWork(
        reference=order.client_reference,
        number=order.order_number,
        state=_known(_WORK, order.status, "order status"),
    )


def same_work(ours: wire.NewOrder | wire.NewTransfer, theirs: wire.WmsOrder) -> bool:
    """Whether the WMS's order asks for what we would ask for."""
    to = ours.destination if isinstance(ours, wire.NewTransfer) else None
    return (ours.warehouse, to) == (theirs.warehouse, theirs.destination) and {
        (line.line_number, line.client_sku, line.quantity, line.unit, line.lot) for line in ours.lines
    } == {(line.line_number, line.client_sku, plain(line.ordered), line.unit, line.lot) for line in theirs.lines}


def new_transfer(order: TransferOrder, units: Mapping[str, str]) -> wire.NewTransfer:
    """A transfer as an order of its own kind."""
    return wire.NewTransfer(
        client_reference=order.transfer,
        warehouse=order.origin,
        destination=order.destination,
        lines=tuple(replace(_order_line(line, units), lot=line.lot) for line in order.lines),
        requested_ship_date=order.ship_on.isoformat() if order.ship_on else None,
    )


def new_status_change(order: StatusOrder, units: Mapping[str, str]) -> wire.NewStatusChange:
    """A change of state, in the vendor's states and units."""
    return wire.NewStatusChange(
        client_reference=order.change,
        warehouse=order.location,
        client_sku=order.sku,
        quantity=plain(order.amount),
        unit=_vendor_unit(order.uom, units),
        from_state=_STATES[order.from_bucket],
        to_state=_STATES[order.to_bucket],
        lot=order.lot,
        reason=order.reason,
    )


def same_change(ours: wire.NewStatusChange, theirs: wire.StatusChange) -> bool:
    """Whether the WMS made the change that we would ask for."""
    names = ("warehouse", "client_sku", "unit", "from_state", "to_state", "lot")
    same = all(getattr(ours, name) == getattr(theirs, name) for name in names)
    return same and ours.quantity == plain(theirs.quantity)


def new_count(order: CountOrder, units: Mapping[str, str]) -> wire.NewCount:
    """Counted figures, in the vendor's states and units."""
    return wire.NewCount(
        client_reference=order.count,
        warehouse=order.location,
        epoch=order.cut_off.epoch,
        sequence=order.cut_off.sequence,
        reason=order.reason,
        lines=tuple(
            wire.CountLine(
                client_sku=line.sku,
                state=_STATES[order.bucket],
                quantity=plain(line.amount),
                unit=_vendor_unit(line.uom, units),
                lot=line.lot,
            )
            for line in order.lines
        ),
    )


def same_count(ours: wire.NewCount, theirs: wire.Count) -> bool:
    """Whether the WMS took the figures over that we would tell it."""
    names = ("warehouse", "epoch", "sequence", "lines")
    return all(getattr(ours, name) == getattr(theirs, name) for name in names)


def _was_picked(kind: MovementType, line: wire.EventLine) -> bool:
    # Only where it is not what the type says anyhow: what was told before must be told alike.
    return kind is MovementType.TRANSFER_DISPATCHED and line.from_state == "PCK"


def _vendor_unit(uom: str, units: Mapping[str, str]) -> str:
    return next((theirs for theirs, ours in units.items() if ours == uom), uom)


def _order_line(line: SalesLine | TransferOrderLine, units: Mapping[str, str]) -> wire.OrderLine:
    unit = _vendor_unit(line.uom, units)
    return wire.OrderLine(line_number=line.line, client_sku=line.sku, quantity=plain(line.amount), unit=unit)


def _bucket(state: str | None) -> Bucket | None:
    return None if state is None else _known(_BUCKETS, state, "stock state")


def _known(table: Mapping[str, _Meaning], code: str, what: str) -> _Meaning:
    try:
        return table[code]
    except KeyError:
        raise BrokenUpstream(f"the WMS uses an unknown {what} {code!r}", code="wms.broken_contract") from None
