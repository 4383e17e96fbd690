"""Wire ⇄ canonical, pure. SKUs are ours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from gateway.canonical.channel import (
    ChannelOrder,
    ChannelOrderKind,
    ChannelOrderLine,
    ChannelOrderPage,
    ChannelUpdate,
    Published,
    PublishedFigure,
    ShownFigure,
    WantedFigure,
)
from gateway.canonical.party import Address
from gateway.kernel.errors import BrokenUpstream, OutcomeUnknown, Rejected
from system_apis.storefront_shop import wire

_PRICE: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,4})?")
_PUBLISHED: Final[Mapping[str, Published]] = {
    "applied": Published.APPLIED,
    "version_mismatch": Published.CHANGED,
    "unknown_sku": Published.UNKNOWN,
}
_KINDS: Final[Mapping[str, ChannelOrderKind]] = {
    "placed": ChannelOrderKind.PLACED,
    "cancelled": ChannelOrderKind.CANCELLED,
}


def shown(levels: wire.Levels) -> list[ShownFigure]:
    """What the shop shows."""
    return [ShownFigure(sku=level.sku, quantity=level.quantity, version=level.version) for level in levels.levels]


def new_levels(figures: Sequence[WantedFigure]) -> list[wire.NewLevel]:
    """What to set, each only at the version it was read at; raises `Rejected` for one without."""
    levels = []
    for figure in figures:
        if figure.version is None:
            raise Rejected("a figure is set at the version it was read at: read it first", code="shop.no_version")
        levels.append(wire.NewLevel(figure.sku, figure.quantity, figure.version))
    return levels


def published(results: wire.SetResults) -> list[PublishedFigure]:
    """What became of it."""
    return [_published(result) for result in results.results]


def _published(result: wire.SetResult) -> PublishedFigure:
    became = _PUBLISHED.get(result.status)
    if became is None or (became is not Published.UNKNOWN and (result.quantity is None or result.version is None)):
        raise OutcomeUnknown(
            f"the shop says {result.status[:40]!r} of a level: look there before repeating it",
            code="shop.outcome_unknown",
        )
    return PublishedFigure(sku=result.sku, became=became, quantity=result.quantity, version=result.version)


def orders(page: wire.OrderEventPage) -> ChannelOrderPage:
    """A page of what happened to the shop's orders."""
    return ChannelOrderPage(orders=tuple(_order(event) for event in page.events), cursor=str(page.next))


def _order(event: wire.OrderEvent) -> ChannelOrder:
    kind = _KINDS.get(event.type)
    if kind is None or event.at.tzinfo is None:
        raise BrokenUpstream(
            f"the shop tells of an order event {event.type[:40]!r} that its contract does not know",
            code="shop.broken_contract",
        )
    return ChannelOrder(
        event=str(event.sequence),
        reference=event.order,
        kind=kind,
        at=event.at,
        lines=tuple(
            ChannelOrderLine(
                line=line.line,
                sku=line.sku,
                quantity=line.quantity,
                version=line.level_version,
                unit_price=_price(line.price),
            )
            for line in event.lines
        ),
        currency=event.currency,
        ship_to=None if event.ship_to is None else Address(**msgspec.structs.asdict(event.ship_to)),
    )


def _price(text: str | None) -> Decimal | None:
    """An amount in the order's currency, such as ``19.90``."""
    if text is None:
        return None
    if not _PRICE.fullmatch(text):
        raise BrokenUpstream(f"the shop tells of a price {text[:40]!r}", code="shop.broken_contract")
    return Decimal(text)


def order_update(update: ChannelUpdate) -> wire.OrderUpdate:
    """What the shop is told; raises `Rejected` (``shop.part_of_a_unit``), for it counts in whole units."""
    return wire.OrderUpdate(
        update=update.update,
        promised_on=update.promised_on,
        fulfilled=_whole({line.line: line.fulfilled for line in update.lines}),
        cancelled=_whole({line.line: line.cancelled for line in update.lines}),
        tracking=update.tracking,
    )


def _whole(amounts: Mapping[int, Decimal]) -> tuple[wire.FulfilledLine, ...]:
    if parts := [line for line, amount in amounts.items() if amount != int(amount)]:
        raise Rejected(
            f"of lines {parts} a part of a unit left or is cancelled: tell the shop by hand", code="shop.part_of_a_unit"
        )
    return tuple(wire.FulfilledLine(line=line, quantity=int(amount)) for line, amount in amounts.items() if amount)
