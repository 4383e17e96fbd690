"""What is published, in which order, and what a look at a channel says. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import Final

from gateway.canonical.item import Item
from process_apis.channel_publication.models import Figure, FigureState, Sale, Verdict

TO_ZERO: Final = 0
FROM_ZERO: Final = 1
ANY: Final = 2
_LONGEST_START: Final = timedelta(seconds=5)
_SOLD_FOR_HALF: Final = 10


def unit_of(item: Item, selling_unit: str | None) -> int:
    """How many base units of `item` one unit is that the channel counts in.

    One base unit where the item has no such unit, or one that does not hold a whole number of them.
    """
    found = item.factor(selling_unit) if selling_unit else None
    if found is None or found.factor < 1 or found.factor != found.factor.to_integral_value():
        return 1
    return int(found.factor)


def figure_to_show(available: Decimal, buffer: int = 0, unit: int = 1) -> int:
    """Whole selling units, of `unit` base units each, of what may be sold, less `buffer` of them, never below zero."""
    return max(0, int((available / unit).to_integral_value(rounding=ROUND_FLOOR)) - buffer)


def tier(shown: int | None, wanted: int) -> int:
    """What falls to zero goes first (it would be oversold), then what rises from it, then the rest."""
    if wanted == 0 and shown != 0:
        return TO_ZERO
    return FROM_ZERO if shown == 0 and wanted else ANY


def rank(since: datetime, sold: int) -> datetime:
    """The place within a tier: by waiting time, with up to five seconds' start for what sells; nothing starves."""
    return since - _LONGEST_START * (sold / (sold + _SOLD_FOR_HALF))


def known_version(figure: Figure, sales: Sequence[Sale]) -> int | None:
    """The version up to which we know every change of a figure; None when a change that nobody told lies between."""
    version = figure.base_version
    if version is None:
        return None
    for sale in sorted(sales, key=_version):
        if sale.version > version + 1:
            return None
        version = max(version, sale.version)
    return version


def is_certain(figure: Figure, sales: Sequence[Sale], *, compares: bool) -> bool:
    """Whether we know what the channel shows well enough to set it; if not, look first."""
    if figure.state is not FigureState.LISTED or figure.look is not None:
        return False
    return not compares or (figure.attempted is None and known_version(figure, sales) is not None)


def shown_now(figure: Figure, sales: Sequence[Sale]) -> int | None:
    """What the channel shows by all that we know."""
    if figure.base is None or figure.base_version is None:
        return figure.base
    return figure.base - sum(sale.quantity for sale in sales if sale.version > figure.base_version)


def explained(base: int, version: int, at: int, sales: Sequence[Sale]) -> int:
    """What a figure that was `base` at `version` is at version `at`, by the sales that we know."""
    return base - sum(sale.quantity for sale in sales if version < sale.version <= at)


def judge(figure: Figure, sales: Sequence[Sale], *, imported_at: datetime, settle: timedelta) -> Verdict:
    """What the figure's look says, given the channel's orders as they could be read at `imported_at`.

    Every sale up to the version that was seen can be read `settle` after it was seen. What explains it before is
    enough, and nothing but time tells that nothing will.
    """
    look = figure.look
    if look is None:
        raise ValueError("there is nothing to judge")
    if figure.base is not None and figure.base_version is not None:
        if explained(figure.base, figure.base_version, look.version, sales) == look.quantity:
            return Verdict.AGREES
        if _was_applied(figure, sales):
            return Verdict.AGREES
    if imported_at - look.at < settle:
        return Verdict.WAIT
    return Verdict.AGREES if figure.base_version is None else Verdict.DISAGREES


def _was_applied(figure: Figure, sales: Sequence[Sale]) -> bool:
    look = figure.look
    if figure.attempted is None or figure.attempted_version is None or look is None:
        return False
    made = figure.attempted_version + 1
    return made <= look.version and explained(figure.attempted, made, look.version, sales) == look.quantity


def fits(sent: int, sales: Sequence[Sale], shown: int) -> bool:
    """Whether a figure that was fed is the one shown, less the latest sales; older ones came before the feed."""
    left = sent
    if left == shown:
        return True
    for sale in sorted(sales, key=_version, reverse=True):
        left -= sale.quantity
        if left == shown:
            return True
    return False


def _version(sale: Sale) -> int:
    return sale.version
