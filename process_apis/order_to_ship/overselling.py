"""Orders of buyer-committed channels: the sale has happened, so what stock cannot give waits and is counted.

Whatever is available is promised first, also what the channel's rule keeps back; the rest is backordered with its
claims on supply, told as `channel.oversold`, and shown to people until it is covered.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from msgspec.structs import replace

from gateway.canonical.capabilities import GathersWrites
from gateway.canonical.events import Event
from gateway.canonical.stock import ClaimOverride, ClaimRequest, StandingClaim
from gateway.kernel.ids import new_id
from gateway.kernel.quantity import plain
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from gateway.telemetry.counters import Family, Kind
from process_apis.order_to_ship.covering import Lack, waiting_finding, waiting_lines
from process_apis.order_to_ship.models import EXCEPTION_PREFIX, Order

_sql: Final = queries_beside(__file__, "oversold_queries.sql")
_ZERO: Final = Decimal(0)
_FAMILIES: Final = (
    ("units", "crossdock_channel_oversell_units", "Base units that a channel sold and stock could not give, ever."),
    ("orders", "crossdock_channel_oversell_orders", "Orders of a channel that stock could not give whole, ever."),
    ("waiting", "crossdock_channel_oversell_waiting_units", "Base units of those orders that still wait for stock."),
)


def whatever_there_is(request: ClaimRequest) -> ClaimRequest:
    """The request of a committed buyer: as much as is available, whatever the channel's rule keeps back."""
    override = ClaimOverride(actor=f"channel/{request.channel}", reason="sold there already")
    return replace(request, fill="partial", override=override)


def with_waiting(order: Order, waiting: Sequence[StandingClaim], *, oversold: bool) -> Order:
    """The draft with what waits for supply as backordered, and people told of it.

    It is `oversold` where its buyer was committed; another one was promised a date.
    """
    lacks = [Lack(each.line, each.location, each.lacking, each.expected) for each in waiting]
    if not lacks:
        return order
    lines = waiting_lines(order.lines, lacks)
    if oversold:
        lines = tuple(replace(line, oversold=line.backordered) for line in lines)
    return replace(order, lines=lines, exceptions=(*order.exceptions, waiting_finding(lacks)))


def with_late(order: Order, dates: Mapping[int, date]) -> Order:
    """The draft with lines, by number, that come after the day they were needed by, and when they do."""
    if not dates:
        return order
    return replace(order, lines=tuple(replace(line, expected=dates.get(line.line)) for line in order.lines))


def write_oversold(writes: GathersWrites, orders: Sequence[Order], now: datetime) -> None:
    """What of `orders`, just inserted, waits or is late: their counters, exceptions, the channel's figure and event."""
    _write_exceptions(writes, [order for order in orders if order.exceptions])
    lines = [
        (order.order_id, line.line, line.backordered, line.oversold, line.expected)
        for order in orders
        for line in order.lines
        if line.backordered or line.expected
    ]
    if lines:
        writes.add(_sql.accept_short, *map(list, zip(*lines, strict=True)))
    short = [order for order in orders if any(line.oversold for line in order.lines)]
    if not short:
        return
    units: dict[str, Decimal] = defaultdict(Decimal)
    for order in short:
        units[order.channel] += sum((line.oversold for line in order.lines), _ZERO)
    counts = Counter(order.channel for order in short)
    channels = sorted(units)
    writes.add(
        _sql.count_oversold, short[0].tenant, channels, [units[name] for name in channels],
        [counts[name] for name in channels], now,
    )  # fmt: skip
    writes.tell([_oversold(order, now) for order in short])


def _write_exceptions(writes: GathersWrites, orders: Sequence[Order]) -> None:
    if not orders:
        return
    writes.add(_sql.state_short, [order.order_id for order in orders], [order.state for order in orders])
    found = [
        (new_id(EXCEPTION_PREFIX), order.tenant, order.order_id, each.exception, each.fault_domain, each.code,
         each.detail, each.blocking, each.kind, each.target)
        for order in orders for each in order.exceptions
    ]  # fmt: skip
    writes.add(_sql.raise_waiting, *map(list, zip(*found, strict=True)))


def _oversold(order: Order, now: datetime) -> Event:
    lines = [
        {"line": line.line, "sku": line.sku, "sold": plain(line.ordered), "promised": plain(line.open)}
        for line in order.lines
        if line.oversold
    ]
    return Event(
        tenant=order.tenant,
        type="channel.oversold",
        aggregate=f"channel_order/{order.channel}/{order.order_id}",
        aggregate_version=1,
        occurred_at=now,
        correlation_id=order.correlation_id,
        data={
            "channel": order.channel,
            "reference": order.external_number,
            "order": order.order_id,
            "lines": lines,
        },
    )


async def oversold(store: Store, tenant: str) -> list[dict[str, Any]]:
    """`channel_oversell` by channel: units and orders since ever, the latest, and what still waits."""
    return [dict(row) for row in await store.fetch(_sql.oversold, tenant)]


def families(rows: Sequence[dict[str, Any]]) -> list[Family]:
    """The same for Prometheus."""
    return [
        Family(name, text, Kind.GAUGE, ("channel",), [((row["channel"],), float(row[key])) for row in rows])
        for key, name, text in _FAMILIES
    ]
