"""The pure decisions of cycle counts: what was found beside the books, whether it is believed, what people do next."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from msgspec.structs import replace

from gateway.canonical.item import Item
from gateway.kernel.errors import Rejected
from process_apis.stock_operations.models import (
    BinFigure,
    Counted,
    CountLine,
    CountState,
    Need,
    StockCount,
)
from process_apis.stock_operations.options import CountTolerance, StockOperationsOptions
from process_apis.stock_operations.rules import needs_of_task

_ZERO: Final = Decimal(0)
_Key = tuple[str, str | None]


def found_lines(
    count: StockCount, told: Counted, positions: Sequence[Mapping[str, Any]], items: Mapping[str, Item]
) -> tuple[CountLine, ...]:
    """One line for each item and lot that was found or is in the books (`positions`, at the cut-off).

    A lot of a counted item that nobody names was found to be nothing. Raises `Rejected`: ``count.lines``,
    ``count.bins``, ``count.by_lot``.
    """
    found = _found(count, told)
    expected: dict[_Key, Decimal] = {
        (row["item"], row["lot"] or None): row["amount"]
        for row in positions
        if row["bucket"] == count.bucket and row["owner"] == count.owner and row["amount"]
    }
    lines: list[CountLine] = []
    for one in {line.item: line for line in count.lines}.values():
        booked = sorted(lot for item, lot in expected if item == one.item and lot)
        if booked and (one.item, None) in found and (one.item, None) not in expected:
            raise Rejected(f"{one.sku} lies there by lot: say of which lot each figure is", code="count.by_lot")
        named = sorted(lot for item, lot in found if item == one.item and lot)
        loose = (one.item, None) in found or (one.item, None) in expected
        lots = [*([None] if loose or not (booked or named) else []), *dict.fromkeys([*booked, *named])]
        for lot in lots:
            key, bins = (one.item, lot), found.get((one.item, lot), ())
            line = replace(
                one, line=len(lines) + 1, lot=lot, bins=tuple(each for each in bins if each.bin),
                unknown_lot=lot is not None and key not in expected, item_group=_group(items, one.item),
            )  # fmt: skip
            amount = sum((each.amount for each in bins), _ZERO)
            lines.append(_beside(line, amount, expected.get(key, _ZERO), items))
    return tuple(lines)


def _found(count: StockCount, told: Counted) -> dict[_Key, list[BinFigure]]:
    if {each.item for each in told.figures} != {line.item for line in count.lines}:
        raise Rejected("tell a figure for each item of the count, and for no other", code="count.lines")
    found: dict[_Key, list[BinFigure]] = defaultdict(list)
    for each in told.figures:
        found[each.item, each.lot].append(BinFigure(bin=each.bin or "", amount=each.amount))
    if any(len({one.bin for one in some}) != len(some) for some in found.values()):
        raise Rejected("tell an item once, or once for each lot and bin of it", code="count.lines")
    if missing := set(count.bins) - {each.bin for each in told.figures}:
        raise Rejected(
            f"nothing is told of {', '.join(sorted(missing))}: go there, and tell 0 where nothing lies",
            code="count.bins",
        )
    return found


def _beside(line: CountLine, counted: Decimal, expected: Decimal, items: Mapping[str, Item]) -> CountLine:
    price = items[line.item].list_price if line.item in items else None
    variance = counted - expected
    value = None if price is None else abs(variance) * price.amount
    return replace(line, counted=counted, expected=expected, variance=variance, value=value, movement=None)


def _group(items: Mapping[str, Item], item: str) -> str | None:
    return items[item].group if item in items else None


def needs_of_count(count: StockCount, alert_after: int = 6) -> list[Need]:
    """What a person should do."""
    if count.state is CountState.REFUSED:
        said = count.task.error_detail or count.task.error_code
        return [Need("count.refused", f"{count.task.system or 'the record'}: {said}. Count it again")]
    unknown = [
        Need("count.lot_unknown", f"lot {line.lot} of {line.sku} was found and is in no books: look at its label")
        for line in count.lines
        if line.unknown_lot and count.state in (CountState.RECOUNT, CountState.TO_APPROVE)
    ]
    if count.state is CountState.RECOUNT:
        return [
            *unknown,
            Need("count.recount", f"it is off beyond tolerance: somebody other than {count.counted_by} counts again"),
        ]
    if count.state is CountState.TO_APPROVE:
        who = (
            f"{count.proposed_by} has agreed, a second person must"
            if count.proposed_by
            else "agree, or believe the books"
        )
        return [*unknown, Need("count.to_approve", f"counted twice and still off: {who}")]
    return list(needs_of_task(count.task, "count", alert_after))


def within(count: StockCount, options: StockOperationsOptions) -> bool:
    """Whether every line is close enough to the books to be believed; a lot that they don't know never is."""
    return all(
        not line.unknown_lot and _tolerated(line, options.tolerance(count.location, line.sku, line.item_group))
        for line in count.lines
    )


def alone(count: StockCount, options: StockOperationsOptions) -> bool:
    """Whether one person may agree: the value of all lines is within the least of their limits, if there are some."""
    limits = [
        options.tolerance(count.location, line.sku, line.item_group).alone_value
        for line in count.lines
        if line.variance
    ]
    given = [limit for limit in limits if limit is not None]
    if not given:
        return True
    values = [line.value for line in count.lines if line.variance]
    return all(value is not None for value in values) and sum(value or _ZERO for value in values) <= min(given)


def _tolerated(line: CountLine, tolerance: CountTolerance) -> bool:
    off = abs(line.variance or _ZERO)
    if not off:
        return True
    limits = [off <= tolerance.absolute] if tolerance.absolute or not _relative(tolerance) else []
    if tolerance.percent is not None:
        limits.append(off * 100 <= tolerance.percent * abs(line.expected or _ZERO))
    if tolerance.value is not None:
        limits.append(line.value is not None and line.value <= tolerance.value)
    return all(limits)


def _relative(tolerance: CountTolerance) -> bool:
    return tolerance.percent is not None or tolerance.value is not None
