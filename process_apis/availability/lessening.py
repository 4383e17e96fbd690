"""Which claims give way where an order wants less of its lines. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from msgspec.structs import replace

from gateway.kernel.errors import Conflict
from gateway.kernel.quantity import plain
from process_apis.availability.models import OpenClaim


def lessened(claims: Sequence[OpenClaim], amounts: Mapping[int, Decimal]) -> list[tuple[OpenClaim, OpenClaim]]:
    """Claims (before, after), once so much of each line in `amounts` is given back.

    What waits for supply goes first, then what is short, then the latest. Raises `Conflict`: see `Standing.lessen`.
    """
    pairs: list[tuple[OpenClaim, OpenClaim]] = []
    for line, amount in sorted(amounts.items()):
        pairs += _of_line(line, [claim for claim in claims if claim.line == line and claim.open > 0], amount)
    return pairs


def _of_line(line: int, claims: Sequence[OpenClaim], amount: Decimal) -> list[tuple[OpenClaim, OpenClaim]]:
    if any(claim.kit is not None for claim in claims):
        if amount != _kits(claims):
            raise Conflict(
                f"line {line} is served in components or by substitutes: take all that is open of it, or nothing",
                code="claim.kit_divided",
            )
        return [(claim, _without(claim, claim.open)) for claim in claims]
    pairs, left = [], amount
    for claim in sorted(claims, key=lambda each: (each.state == "promised", each.short > 0, each.claim), reverse=True):
        part = min(left, claim.open)
        if part > 0:
            pairs.append((claim, _without(claim, part)))
            left -= part
    if left > 0:
        raise Conflict(
            f"only {plain(amount - left)} of line {line} is promised and not worked on: ask for no more than that",
            code="claim.over",
        )
    return pairs


def _without(claim: OpenClaim, part: Decimal) -> OpenClaim:
    whole = part == claim.open
    return replace(claim, released=claim.released + part, state="released" if whole else claim.state)


def _kits(claims: Sequence[OpenClaim]) -> Decimal:
    """How many of the kit, or of what was ordered, these claims are: by the item that has the most of it."""
    amounts: dict[str, Decimal] = {}
    whole = Decimal(0)
    for claim in claims:
        if claim.kit is None or claim.per_kit is None:
            whole += claim.open
        else:
            amounts[claim.item] = amounts.get(claim.item, Decimal(0)) + claim.open / claim.per_kit
    return whole + max(amounts.values(), default=Decimal(0))
