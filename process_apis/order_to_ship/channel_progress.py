"""How far an order is, for the channel that sold it."""

from __future__ import annotations

from datetime import date

from gateway.canonical.capabilities import Connection
from gateway.canonical.channel import ChannelProgress, ProgressLine
from process_apis.order_to_ship.models import Order
from process_apis.order_to_ship.records import load


class OrderProgress:
    """Implements `TellsProgress`."""

    async def channel_progress(self, connection: Connection, *, tenant: str, order: str) -> ChannelProgress | None:
        """See `TellsProgress`."""
        found = await load(connection, order, tenant=tenant)
        return None if found is None else progress_of(found)


def progress_of(order: Order) -> ChannelProgress:
    """What left and what is cancelled, by line, and the parcels that carriers named."""
    return ChannelProgress(
        reference=order.external_number,
        promised_on=_promised_on(order),
        lines=tuple(
            ProgressLine(line=line.line, fulfilled=line.shipped, cancelled=line.cancelled) for line in order.lines
        ),
        tracking=tuple(sorted({number for freight in order.freight for number in freight.tracking})),
    )


def _promised_on(order: Order) -> date | None:
    """The latest that is expected: supply of what waits, else the carrier's word, else what the buyer asked."""
    if any(line.backordered and line.expected is None for line in order.lines):
        return None
    expected = [line.expected for line in order.lines if line.expected is not None]
    expected += [freight.arrives_on for freight in order.freight if freight.arrives_on is not None]
    return max(expected, default=order.requested_date)
