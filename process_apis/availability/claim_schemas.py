"""The shapes of claims on the wire. Amounts are exact decimals, as strings, in base units of the item."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

from msgspec import Meta, Struct

from gateway.canonical.kit import in_kits
from gateway.canonical.stock import ClaimedLine, ClaimLine, ClaimOverride, ClaimRequest, Fill, Substitution
from gateway.kernel.context import Caller
from gateway.kernel.quantity import plain
from process_apis.availability.models import DatedRequest
from process_apis.availability.schemas import ClaimView, Figure, Text

_LONGEST = 31 * 86_400
Amount = Annotated[str, Meta(pattern=r"^(?=[0-9.]*[1-9])[0-9]{1,24}(\.[0-9]{1,12})?$(?!\n)", examples=["12", "0.5"])]
LineNumber = Annotated[int, Meta(ge=0, le=100_000)]
ShipTo = Annotated[
    str,
    Meta(
        pattern=r"^[A-Z]{2}( [^\x00-\x1f\x7f-\x9f]{1,16})?$(?!\n)",
        description="where goods go: a country (ISO 3166-1 alpha-2) and, where known, a postal code",
        examples=["US 97201"],
    ),
]
Seconds = Annotated[int, Meta(ge=1, le=_LONGEST, description="From now, by the clock of our record.")]


class ClaimLineInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What one line of an order wants, from any location of the channel or from one."""

    line: LineNumber
    item: Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[a-z0-9_]+$(?!\n)", examples=["itm_01"])]
    amount: Amount
    location: Text | None = None


class ReservedLineInput(ClaimLineInput, kw_only=True, forbid_unknown_fields=True):
    """A line, and what is done where its item does not suffice; without `substitution` what the channel's rule says.

    ``accept`` promises a substitute for what lacks; ``offer`` tells in the refusal what could stand in.
    """

    substitution: Substitution | None = None


class ReservationInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """All lines are promised, or none, unless `fill` says otherwise.

    ``line_complete`` promises the lines that fit, ``partial`` as much of each as there is; what lacks is told, and
    where nothing fits it is refused all the same. `action` is the caller's own id of this command: repeating it changes
    nothing. `expires_in` is when to give up what was not allocated by then.

    Without `expires_in` the promise stands until it is allocated or released. `override_reason` promises what the
    channel's rule keeps back; it needs the scope ``claims:override`` and is audited. Where stock turns out to be
    short, what is of lower `priority` gives way first, then what is needed later (`need_by`). Places from which goods
    are at `ship_to` by `need_by` go before all others; lines that come later say when (`late`).
    """

    action: Text
    order: Text
    channel: Text
    lines: Annotated[list[ReservedLineInput], Meta(min_length=1, max_length=200)]
    expires_in: Seconds | None = None
    override_reason: Text | None = None
    priority: Annotated[int, Meta(ge=-100, le=100)] = 0
    need_by: date | None = None
    ship_to: ShipTo | None = None
    fill: Fill = "complete"
    customer_class: Text | None = None


class DatedClaimInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """All lines are promised for `date`, or none: on supply as far as it covers the date, the rest at hand.

    What waits for supply is `promised`, and becomes `reserved` (with `expires_in`) or `allocated` (without) when its
    goods come in. When not all who wait can be kept their dates, a higher `priority` is served first.
    """

    action: Text
    order: Text
    channel: Text
    date: date
    lines: Annotated[list[ClaimLineInput], Meta(min_length=1, max_length=200)]
    priority: Annotated[int, Meta(ge=-100, le=100)] = 0
    expires_in: Seconds | None = None


class AllocationInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is reserved for the order becomes its own.

    `handed`: another system works on it from now on, so that only a person touches what turns out to be short of it.
    """

    action: Text
    order: Text
    handed: bool = False


class CancellationInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """Everything that the order holds is given back."""

    action: Text
    order: Text


class ExtensionInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """Reservations expire so many seconds from now; never earlier than they would have."""

    action: Text
    order: Text
    expires_in: Seconds


class ReleaseInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """Without `lines`, everything."""

    action: Text
    order: Text
    lines: Annotated[list[LineNumber], Meta(min_length=1, max_length=200)] | None = None


class TransferInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What `order` holds open goes to the order `to`, line by line."""

    action: Text
    order: Text
    to: Text


class ClaimedView(Struct, kw_only=True):
    """One promise: this much of this item at this location for this line.

    Where it is a component of a `kit` that the line asked for, `per_kit` of it go into one. What stands in for another
    item has that one in `kit`, and how much of it serves one in `per_kit`.
    """

    id: str
    line: int
    item: str
    location: str
    amount: Figure
    state: str
    kit: str | None = None
    per_kit: Figure | None = None


class LackingView(Struct, kw_only=True):
    """What was not promised of a line, in base units."""

    line: int
    amount: Amount


class LateLineView(Struct, kw_only=True):
    """A line that arrives after it was needed by."""

    line: int
    arrives_on: date


class ClaimedList(Struct, kw_only=True):
    """What the command promised, changed or gave back."""

    claims: list[ClaimedView]
    lacking: list[LackingView] = []
    late: list[LateLineView] = []


class LateClaimView(Struct, kw_only=True):
    """A promise that no known supply covers by its date; `expected` is when some will, null when none will."""

    id: str
    order: str
    order_line: int
    item: str
    location: str
    channel: str
    amount: Figure
    due: date | None
    expected: date | None
    made_at: datetime


class LateClaimList(Struct, kw_only=True):
    """A page of late promises, the oldest first."""

    claims: list[LateClaimView]
    next_cursor: str | None


class SubstitutionView(Struct, kw_only=True):
    """Why a substitute was promised: `lacked` of the item was not there, `served` of it is served by it.

    `passed` are the preferred ones that did not have enough either.
    """

    line: int
    item: str
    substitute: str
    factor: Figure
    served: Figure
    lacked: Figure
    passed: list[str]
    rule_version: int
    made_at: datetime


class ClaimList(Struct, kw_only=True):
    """All claims of an order, over or not, in the order they were made, and why substitutes are among them."""

    claims: list[ClaimView]
    substitutions: Annotated[list[SubstitutionView], Meta(max_length=1_000)] = []


def request_of(data: ReservationInput, caller: Caller, *, action: str) -> ClaimRequest:
    """The command in the canonical language, under an action id that is the caller's own."""
    why = data.override_reason
    return ClaimRequest(
        action=action,
        order=data.order,
        channel=data.channel,
        lines=[
            ClaimLine(
                line=each.line,
                item=each.item,
                amount=Decimal(each.amount),
                location=each.location,
                substitution=each.substitution,
            )
            for each in data.lines
        ],
        correlation_id=caller.correlation_id,
        expires_in=None if data.expires_in is None else timedelta(seconds=data.expires_in),
        override=None if why is None else ClaimOverride(actor=caller.principal.subject, reason=why),
        priority=data.priority,
        fill=data.fill,
        customer_class=data.customer_class,
        need_by=data.need_by,
        ship_to=data.ship_to,
    )


def dated_request_of(data: DatedClaimInput, caller: Caller, *, action: str) -> DatedRequest:
    """The command in the process's own terms, under an action id that is the caller's own."""
    request = ClaimRequest(
        action=action,
        order=data.order,
        channel=data.channel,
        lines=[
            ClaimLine(line=each.line, item=each.item, amount=Decimal(each.amount), location=each.location)
            for each in data.lines
        ],
        correlation_id=caller.correlation_id,
        expires_in=None if data.expires_in is None else timedelta(seconds=data.expires_in),
        priority=data.priority,
        need_by=data.date,
    )
    return DatedRequest(request=request, due=data.date)


def substitution_views(rows: Sequence[Any]) -> list[SubstitutionView]:
    """Why substitutes were promised, on the wire."""
    return [
        SubstitutionView(
            line=row["order_line"],
            factor=plain(row["factor"]),
            served=plain(row["served"]),
            lacked=plain(row["lacked"]),
            **{name: row[name] for name in ("item", "substitute", "passed", "rule_version", "made_at")},
        )
        for row in rows
    ]


def late_claim_list(rows: Sequence[Any], limit: int) -> LateClaimList:
    """A page on the wire."""
    claims = [
        LateClaimView(
            id=row["claim"],
            order=row["order_id"],
            amount=plain(row["open"]),
            **{name: row[name] for name in ("order_line", "item", "location", "channel", "due", "expected", "made_at")},
        )
        for row in rows
    ]
    return LateClaimList(claims=claims, next_cursor=claims[-1].id if len(claims) == limit else None)


def lacking_of(request: ClaimRequest, claims: Sequence[ClaimedLine]) -> list[LackingView]:
    """What `claims` do not promise of what was asked, by line."""
    rest = {line.line: line.amount for line in request.lines}
    for each in in_kits(claims):
        rest[each.line] -= each.amount
    return [LackingView(line=line, amount=plain(amount)) for line, amount in sorted(rest.items()) if amount > 0]


def claimed_list(
    claims: list[ClaimedLine], lacking: list[LackingView] | None = None, late: Mapping[int, date] = {}
) -> ClaimedList:
    """An answer on the wire; `late` has by line when it arrives."""
    return ClaimedList(
        late=[LateLineView(line=line, arrives_on=on) for line, on in sorted(late.items())],
        lacking=lacking or [],
        claims=[
            ClaimedView(
                id=each.claim,
                line=each.line,
                item=each.item,
                location=each.location,
                amount=plain(each.amount),
                state=each.state,
                kit=each.kit,
                per_kit=None if each.per_kit is None else plain(each.per_kit),
            )
            for each in claims
        ],
    )
