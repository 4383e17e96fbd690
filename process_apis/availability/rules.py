"""The pure decisions of availability: what a movement does, what may be sold, what consumes a promise. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_FLOOR, Context, Decimal, Inexact, Rounded
from typing import Final

from msgspec.structs import replace

from gateway.canonical.item import Item
from gateway.canonical.stock import MovementType, ReportedMovement
from gateway.kernel.quantity import COUNTED_UNITS
from process_apis.availability.effects import EFFECTS
from process_apis.availability.models import (
    NO_LINE,
    ChannelTerms,
    Handled,
    LocationTerms,
    OpenClaim,
    Progress,
    Refusal,
    StockLine,
    Way,
)

_ZERO: Final = Decimal(0)
_STANDING: Final = {"soft": "reserved", "ahead": "promised"}
_EXACT: Final = Context(prec=60, traps=[Inexact, Rounded])
# Bound to its context: half the price of naming the rounding, and of any size, unlike a division.
_floor: Final = Context(rounding=ROUND_FLOOR).to_integral_value
_ANY: Final = LocationTerms(location="")


def route(reported: ReportedMovement) -> Way | Refusal:
    """From which bucket to which a movement goes, by `EFFECTS`; refused where it must say so and does not."""
    kind, origin, target = reported.type, reported.from_bucket, reported.to_bucket
    effect = EFFECTS[kind]
    if effect.named:
        if origin is None or target is None:
            detail = "a status change names both buckets: correct the source's mapping"
            return Refusal("stock.bucket_missing", detail, mendable=False)
        return Way(origin, target)
    if effect.said == "origin":
        settles = effect.settles and origin is None and handling(reported) is not None
        return Way(origin or effect.origin, None, settles=settles)
    if effect.said == "target":
        # What changes or states one figure has one bucket, whichever side a source calls it.
        return Way(effect.origin, target or (origin if effect.signed else None) or effect.target)
    return Way(effect.origin, effect.target)


def handling(reported: ReportedMovement) -> str | None:
    """What groups the picks and shipments of one order line, or of one document; None when nothing does."""
    if reported.order_reference is not None:
        return f"order/{reported.order_reference}/{reported.order_line or 0}"
    return None if reported.document is None else f"document/{reported.source}/{reported.document}"


def base_amount(
    item: Item, amount: Decimal, uom: str, *, signed: bool = False, at: datetime | None = None
) -> tuple[Decimal, Decimal] | Refusal:
    """`amount` of `uom` in base units of `item`, exactly, and the factor that held `at` the instant (else now).

    Refused when it does not come out exact.
    """
    conversion = item.factor(uom, at)
    if conversion is None:
        return Refusal("stock.unit_unknown", f"{item.sku} has no unit {uom}: add it to the item's packs")
    if not amount.is_finite() or (amount < 0 and not signed):
        return Refusal(
            "stock.amount_invalid", f"{amount} is no amount of goods: correct it in the source", mendable=False
        )
    try:
        base = _EXACT.multiply(amount, conversion.factor)
    except (Inexact, Rounded):
        return Refusal("stock.not_exact", f"{amount} {uom} of {item.sku} has too many digits to be exact")
    if item.base_uom in COUNTED_UNITS and base != base.to_integral_value():
        return Refusal("stock.not_exact", f"{amount} {uom} is {base} {item.base_uom} of {item.sku}: pieces are whole")
    return base, conversion.factor


def net(kind: MovementType, amount: Decimal) -> tuple[Decimal, Decimal]:
    """What a movement adds to the net picks and shipments of its order line."""
    effect = EFFECTS[kind]
    return amount * effect.picks, amount * effect.ships


# --- figures ------------------------------------------------------------------------------------------------------


def available(line: StockLine) -> Decimal:
    """What is not promised of one stock line; below zero when a count found less than is promised."""
    return line.sellable - line.reserved - line.allocated - line.external


def usable(location: str, terms: ChannelTerms) -> LocationTerms | None:
    """The terms of `location` for a channel, None when it may not use it."""
    for each in terms.locations:
        if each.location == location:
            return each if each.eligible else None
    return None if terms.only_named else _ANY


def supply(line: StockLine, terms: ChannelTerms) -> Decimal:
    """What a channel may take of one stock line: eligible, above the safety stock, never below zero."""
    place = usable(line.location, terms) if line.owner == terms.owner else None
    if place is None:
        return _ZERO
    left = line.sellable - line.reserved - line.allocated - line.external - place.safety_stock
    return left if left > _ZERO else _ZERO  # noqa: FURB136 - at a third of the price, per line of every answer


def sell_of_pool(pool: Decimal, terms: ChannelTerms, own_open: Decimal = _ZERO, left: Decimal | None = None) -> Decimal:
    """What a channel may sell of one item whose lines' `supply` sums up to `pool`.

    The pool that a share is taken of is what the channel may take plus what it holds (`own_open`); what it holds then
    counts against its ceiling, so that other channels' promises do not shrink it twice. `left` is what of the pool is
    not kept for other channels: all, if it is not given.
    """
    sell = (pool if left is None else left) - terms.buffer
    if (share := terms.share) is not None:
        ceiling = _floor(share * (pool + own_open))
        if (room := ceiling - own_open) < sell:
            sell = room
    return sell if sell > _ZERO else _ZERO  # noqa: FURB136 - as in `supply`


# --- what consumes a promise --------------------------------------------------------------------------------------


def attributed(claims: Iterable[OpenClaim], handled: Iterable[Handled]) -> Iterator[tuple[tuple[str, int], Handled]]:
    """What was handled, with the (order, line) that it belongs to.

    Handling that names no line belongs to the one line of its order that claims its item; where none does, or several
    do, it belongs to none: it waits for the claim, or for a revision that names the line.
    """
    lines: dict[tuple[str, str], set[int]] = defaultdict(set)
    for claim in claims:
        lines[claim.order, claim.item].add(claim.line)
        if claim.kit is not None:
            lines[claim.order, claim.kit].add(claim.line)
    for each in handled:
        known = lines[each.order, each.item] if each.line == NO_LINE else {each.line}
        if len(known) == 1:
            yield (each.order, next(iter(known))), each


def assigned(claims: Iterable[OpenClaim], handled: Iterable[Handled]) -> Mapping[tuple[str, int], list[Progress]]:
    """The progress of each (order, line) that has some, whichever item it was of."""
    sums: dict[tuple[str, int], dict[str, Progress]] = defaultdict(dict)
    for key, each in attributed(claims, handled):
        at = sums[key]
        before = at.get(each.progress.location, Progress(each.progress.location, _ZERO, _ZERO))
        picked, shipped = before.picked + each.progress.picked, before.shipped + each.progress.shipped
        at[before.location] = Progress(before.location, picked, shipped)
    return {key: list(places.values()) for key, places in sums.items()}


def consumption(claims: Sequence[OpenClaim], progress: Sequence[Progress]) -> Mapping[str, tuple[Decimal, Decimal]]:
    """How much of each claim of one order line is (consumed, shipped), whatever the order things arrived in.

    Consumed in all: what left `sellable` for the line, which at each location is the larger of net picks and net
    shipments; shipments first. What a location handled goes to the claims there; the rest is matched by line alone,
    because another location, lot or substitute may have served it.
    """
    left = {each.location: _left(each) for each in progress}
    shipped = {each.location: max(each.shipped, _ZERO) for each in progress}
    waiting = {location: max(amount - shipped[location], _ZERO) for location, amount in left.items()}
    ships = max(sum((each.shipped for each in progress), _ZERO), _ZERO)
    limits = {claim.claim: _limit(claim) for claim in claims}
    gone = _spread(claims, limits, shipped, ships)
    rooms = {claim: limit - gone[claim] for claim, limit in limits.items()}
    packed = _spread(claims, rooms, waiting, max(sum(left.values(), _ZERO) - ships, _ZERO))
    return {claim.claim: (gone[claim.claim] + packed[claim.claim], gone[claim.claim]) for claim in claims}


def _left(each: Progress) -> Decimal:
    # Net figures below zero (an unpick where nothing was picked) lower what other locations took.
    return max(each.picked, each.shipped) if each.shipped > 0 else each.picked


def _spread(
    claims: Sequence[OpenClaim], rooms: Mapping[str, Decimal], at: Mapping[str, Decimal], total: Decimal
) -> dict[str, Decimal]:
    left = dict(at)
    given: dict[str, Decimal] = {}
    ordered = sorted(claims, key=lambda claim: (claim.state == "released", claim.state == "promised", claim.claim))
    for claim in ordered:
        part = min(rooms[claim.claim], left.get(claim.location, _ZERO))
        left[claim.location] = left.get(claim.location, _ZERO) - part
        given[claim.claim] = part
    rest = total - sum(given.values(), _ZERO)
    for claim in ordered if rest > 0 else reversed(ordered):
        room = rooms[claim.claim] - given[claim.claim] if rest > 0 else given[claim.claim]
        part = min(room, abs(rest)).copy_sign(rest)
        given[claim.claim] += part
        rest -= part
    return given


def _limit(claim: OpenClaim) -> Decimal:
    # A released claim gives back whatever it does not consume, so that a late pick and a release commute.
    return claim.amount if claim.state == "released" else claim.amount - claim.released


def settled(claim: OpenClaim, consumed: Decimal, shipped: Decimal) -> OpenClaim:
    """The claim after its order line was handled that far. It ends as fulfilled once all of it was shipped.

    One that comes back, as when a shipment is revised down, comes back as what it was.
    """
    released = claim.amount - consumed if claim.state == "released" else claim.released
    state = claim.state
    if state != "released":
        wanted = claim.amount - released
        done = wanted > 0 and shipped >= wanted
        before = _STANDING.get(claim.commitment, "allocated")
        state = "fulfilled" if done else (before if state == "fulfilled" else state)
    return replace(claim, consumed=consumed, released=released, state=state)
