"""What a supplier's acknowledgement makes of a line, by the codes of X12 element 668 (`semantics.md` 5). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from msgspec import Struct

from gateway.canonical.purchase import AckCode, AckLine, Acknowledgement
from gateway.kernel.quantity import plain
from process_apis.procure_to_pay.models import Need, PurchaseLine
from process_apis.procure_to_pay.options import PurchaseTolerances

_ZERO: Final = Decimal(0)
_HUNDRED: Final = Decimal(100)
REJECTED: Final = frozenset(
    {
        AckCode.REJECTED, AckCode.DELETED, AckCode.NOT_CONTRACTED, AckCode.INVALID_PRODUCT, AckCode.INVALID_UNIT,
        AckCode.CONTRACT_UNAVAILABLE, AckCode.REORDER, AckCode.INVALID_TERMS, AckCode.INVALID_QUANTITY,
        AckCode.INVALID_PRICE,
    }
)  # fmt: skip
HELD: Final = frozenset({AckCode.ON_HOLD, AckCode.INCOMPLETE, AckCode.WAIVER_REQUIRED})
UNDATED: Final = frozenset({AckCode.BACKORDERED, AckCode.DATE_PENDING})
LESS: Final = frozenset({AckCode.QUANTITY_CHANGED, AckCode.CHANGED})
_KNOWN: Final = frozenset(AckCode)


class Piece(Struct, frozen=True):
    """So much of a line, in base units, and when it will come by what the supplier said; None: nobody knows."""

    amount: Decimal
    on: date | None


class Answer(Struct, frozen=True, kw_only=True):
    """What became of one line by its latest acknowledgement, in base units. `pieces` + `rejected` = ordered.

    `prices` are those that were accepted beside the order's, within tolerance or by a buyer, per the line's own unit.
    """

    acknowledged: Decimal = _ZERO
    rejected: Decimal = _ZERO
    pieces: tuple[Piece, ...]
    prices: tuple[Decimal, ...] = ()
    needs: tuple[Need, ...] = ()
    answered: bool = False


def answer_of(
    line: PurchaseLine,
    acknowledgements: Sequence[Acknowledgement],
    decisions: Mapping[str, bool],
    tolerances: PurchaseTolerances,
) -> Answer:
    """Weigh the answer that holds for `line`: of those that name it the one with the highest sequence, then number."""
    naming = [each for each in acknowledgements if any(part.line == line.line for part in each.lines)]
    if not naming:
        return Answer(pieces=(Piece(line.base, line.requested),))
    latest = max(naming, key=lambda each: (each.sequence, each.number))
    weighing = _Weighing(line, latest, decisions, tolerances)
    for part in latest.lines:
        if part.line == line.line:
            weighing.take(part)
    return weighing.result()


class _Weighing:
    def __init__(
        self,
        line: PurchaseLine,
        latest: Acknowledgement,
        decisions: Mapping[str, bool],
        tolerances: PurchaseTolerances,
    ) -> None:
        self.line = line
        self.key = f"ack/{latest.number}/{latest.sequence}/{line.line}"
        self.decided = decisions.get(self.key)
        self.tolerances = tolerances
        self.left = line.base
        self.over = _ZERO
        self.acknowledged = self.rejected = _ZERO
        self.pieces: list[Piece] = []
        self.prices: list[Decimal] = []
        self.wrong: list[tuple[str, str]] = []
        self.codes: set[str] = set()
        self.answered = False

    def take(self, part: AckLine) -> None:
        """Let one part of the answer count, up to what is ordered."""
        self.codes.add(part.code)
        asked = part.amount * self.line.factor
        amount = min(asked, self.left)
        self.over += asked - amount
        if part.code not in _KNOWN:
            # Never an acceptance: what it speaks of stays as if nothing had been said.
            self.wrong.append(("purchase.ack_code_unknown", f"{part.code} is no code of X12 element 668"))
            self._keep(amount, self.line.requested)
            return
        self.answered = True
        if part.code in REJECTED:
            self.left -= amount
            self.rejected += amount
            self.wrong.append(("purchase.line_rejected", f"the supplier rejects {_told(amount, self.line)}"))
            return
        changes = self._changes(part)
        self.wrong += changes
        if changes and self.decided is False:
            self.left -= amount
            self.rejected += amount
            return
        if part.unit_price is not None and (self.decided or not changes):
            self.prices.append(part.unit_price)
        waits = part.code in HELD or (part.code == AckCode.SUBSTITUTED)
        undated = part.code in UNDATED and part.on is None
        self._keep(amount, None if waits or undated else part.on or self.line.requested)
        if part.code not in HELD:
            self.acknowledged += amount

    def result(self) -> Answer:
        """What is not spoken of: still to be answered, or, where the quantity was changed, not coming."""
        if self.left > 0 and self.codes & LESS:
            self._fall_short()
        if self.left > 0:
            self._keep(self.left, self.line.requested)
        if self.over > 0:
            self.wrong.append(
                ("purchase.over_acknowledged", f"{_told(self.over, self.line)} more than was ordered: not taken")
            )
        needs: tuple[Need, ...] = ()
        if self.wrong and self.decided is None:
            code = self.wrong[0][0]
            detail = f"line {self.line.line} ({self.line.sku}): {'; '.join(text for _, text in self.wrong)}"
            value = self.line.amount * self.line.unit_price
            needs = (Need(key=self.key, code=code, detail=detail, value=value),)
        return Answer(
            acknowledged=self.acknowledged,
            rejected=self.rejected,
            pieces=tuple(self.pieces),
            prices=tuple(self.prices),
            needs=needs,
            answered=self.answered,
        )

    def _keep(self, amount: Decimal, on: date | None) -> None:
        if amount > 0:
            self.left -= amount
            self.pieces.append(Piece(amount, on))

    def _fall_short(self) -> None:
        within = self.left * _HUNDRED <= self.line.base * self.tolerances.ack_quantity_percent
        if not within:
            self.wrong.append(("purchase.quantity_changed", f"{_told(self.left, self.line)} less than was ordered"))
        if within or self.decided is not None:
            self.rejected += self.left
            self.left = _ZERO
        else:
            self._keep(self.left, None)

    def _changes(self, part: AckLine) -> list[tuple[str, str]]:
        line, found = self.line, []
        if part.code in HELD:
            found.append(("purchase.line_on_hold", f"the supplier holds it ({part.code}): {part.text or 'ask why'}"))
        if part.code == AckCode.SUBSTITUTED and not self.tolerances.accept_substitutes:
            found.append(
                ("purchase.substituted", f"the supplier sends {part.substitute or 'another item'} in its place")
            )
        if part.unit_price is not None:
            off = abs(part.unit_price - line.unit_price)
            if off * _HUNDRED > line.unit_price * self.tolerances.ack_price_percent:
                found.append(
                    ("purchase.price_changed", f"{plain(part.unit_price)} instead of {plain(line.unit_price)} each")
                )
        if part.on is not None and line.requested is not None:
            latest = line.requested + timedelta(days=self.tolerances.ack_days)
            if part.on > latest:
                found.append(("purchase.rescheduled", f"it comes on {part.on}, asked for {line.requested}"))
        return found


def _told(amount: Decimal, line: PurchaseLine) -> str:
    return f"{plain(amount)} {line.base_uom}"
