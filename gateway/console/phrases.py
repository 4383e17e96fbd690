"""How the console says things: ages, amounts, tones of states, one sentence per event. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from gateway.canonical.events import movements_told
from gateway.console.redaction import scrubbed
from gateway.kernel.quantity import plain

_MINUTE: Final = 60
_HOUR: Final = 3_600
_DAY: Final = 86_400
_LATE_S: Final = 10
_BAD_S: Final = 60
_SILENT_S: Final = 300
_DOWN_AFTER: Final = 3

TONES: Final[Mapping[str, str]] = {
    "received": "info",
    "promised": "info",
    "submitted": "info",
    "released": "info",
    "partially_shipped": "info",
    "shipped": "good",
    "invoiced": "good",
    "completed": "good",
    "held": "warn",
    "backordered": "warn",
    "exception": "bad",
    "rejected": "quiet",
    "cancelled": "quiet",
    # tasks
    "pending": "quiet",
    "attempted": "info",
    "undoing": "warn",
    "done": "good",
    "absent": "quiet",
    # dead letters, exceptions
    "retrying": "warn",
    "parked": "quiet",
    "dead": "bad",
    "open": "bad",
    "resolved": "good",
}
_EVENT_TONES: Final[Mapping[str, str]] = {
    "order.accepted": "info",
    "order.completed": "good",
    "order.shipment_confirmed": "good",
    "order.held": "warn",
    "order.change_refused": "warn",
    "order.rejected": "warn",
    "order.cancelled": "warn",
    "order.exception_raised": "bad",
    "exception.raised": "bad",
    "exception.resolved": "good",
    "stock.movement_parked": "warn",
    "stock.position_negative": "bad",
}


def tone_of(state: str) -> str:
    """The tone of a state: good, info, warn, bad or quiet."""
    return TONES.get(state, "quiet")


def event_tone(event_type: str) -> str:
    """The tone of an event type."""
    return _EVENT_TONES.get(event_type, "quiet")


def words(name: str) -> str:
    """``partially_shipped`` as people write it."""
    return name.replace("_", " ")


def span(seconds: float) -> str:
    """A duration in its largest unit: coarse, so that a panel only changes when something happened."""
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds // 10 * 10)} s" if seconds >= _LATE_S else "a moment"


def distance(seconds: float) -> str:
    """How long ago, or (below zero) until when, as a sentence tells it: ``5 min ago``, ``now``, ``in 2 h``."""
    if abs(seconds) < _LATE_S:
        return "now"
    return f"{span(seconds)} ago" if seconds > 0 else f"in {span(-seconds)}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number and what it counts: ``1 line``, ``1 200 tries``. `many` is left out where an s makes it."""
    return f"{amount(number)} {one if number == 1 else many or one + 's'}"


def exact_span(seconds: float) -> str:
    """A short duration with what matters of it: ``84 ms``, ``3.2 s``, ``2 min``."""
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < _MINUTE else span(seconds)


def amount(value: Any) -> str:
    """An exact number as people read it, thousands set apart: ``12 400.5``."""
    try:
        text = plain(value if isinstance(value, Decimal) else Decimal(str(value)))
    except InvalidOperation:
        return str(value)
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    whole, dot, fraction = digits.partition(".")
    return f"{sign}{int(whole):,}".replace(",", "\u202f") + dot + fraction if whole.isdecimal() else text


def money(value: Decimal, currency: str) -> str:
    """At least two decimals, none lost: ``1 250.00 USD``."""
    whole, _, fraction = amount(value).partition(".")
    return f"{whole}.{fraction.ljust(2, '0')} {currency}"


def lag_tone(seconds: float) -> str:
    """How bad it is that a consumer is so far behind. Idle consumers keep their place every few seconds only."""
    return "good" if seconds < _LATE_S else "warn" if seconds < _BAD_S else "bad"


def system_condition(row: Mapping[str, Any], now: datetime) -> tuple[str, str]:
    """A word and a tone for what is known of one system."""
    if row["failures"] >= _DOWN_AFTER:
        return "down", "bad"
    if row["failures"]:
        return "failing", "warn"
    if row["troubles"]:
        return "in trouble", "warn"
    if row["polled_at"] is None:
        return "not heard yet", "quiet"
    if (now - row["polled_at"]).total_seconds() > _SILENT_S:
        return "silent", "warn"
    return "up", "good"


def sentence(event_type: str, data: Mapping[str, Any], sku: str | None) -> str:
    """What happened, in a few words, from the data of one event."""
    item = sku or str(data.get("item", ""))
    told = _SENTENCES.get(event_type, _generic)(data, item)
    return scrubbed(told)


def _movement(data: Mapping[str, Any], item: str) -> str:
    way = " → ".join(words(str(data[key])) for key in ("from", "to") if data.get(key))
    order = f" for {data['order']}" if data.get("order") else ""
    kind = words(str(data.get("type", "")))
    return f"{kind}: {amount(data.get('amount', 0))} of {item} at {data.get('location')} ({way or 'adjusted'}){order}"


def _movements(data: Mapping[str, Any], item: str) -> str:
    try:
        some = [(each.get("type", ""), each.get("location")) for each in movements_told(data)]
    except (TypeError, ValueError, AttributeError):
        return _generic(data, item)
    kinds = Counter(words(str(kind)) for kind, _ in some)
    places = sorted({str(place) for _, place in some})
    shown = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(_KINDS_SHOWN))
    return f"{counted(len(some), 'movement')} at {', '.join(places[:_KINDS_SHOWN])} ({shown})"


def _availability(data: Mapping[str, Any], item: str) -> str:
    try:
        available = sum((Decimal(str(data[key])) * sign for key, sign in _AVAILABLE), Decimal(0))
    except (KeyError, InvalidOperation):
        return _generic(data, item)
    return f"{item} at {data.get('location')}: {amount(available)} available of {amount(data.get('on_hand', 0))}"


_KINDS_SHOWN: Final = 3
_AVAILABLE: Final = (("sellable", 1), ("reserved", -1), ("allocated", -1), ("external", -1))


def _claims(data: Mapping[str, Any], _item: str) -> str:
    claims = data.get("claims")
    count = len(claims) if isinstance(claims, list) else 0
    reason = f", {words(str(data['reason']))}" if data.get("reason") else ""
    return f"{counted(count, 'line')} of {data.get('order')}{reason}"


def _order(data: Mapping[str, Any], _item: str) -> str:
    number = f"{data.get('external_number') or data.get('order')} of {data.get('sold_to')}"
    extras = [str(data[key]) for key in _TOLD_OF_ORDERS if data.get(key)]
    return f"{number}: {' '.join(extras)}" if extras else number


_TOLD_OF_ORDERS: Final = ("verb", "system", "number", "location", "amount", "uom", "reason", "code")


def _snapshot(data: Mapping[str, Any], _item: str) -> str:
    figures, drifted = data.get("figures", 0), data.get("drifted", 0)
    return f"{amount(figures)} figures from {data.get('source')}, {amount(drifted)} drifted"


def _parked(data: Mapping[str, Any], _item: str) -> str:
    return f"{data.get('source')}: {data.get('cause')}: {data.get('detail')}"


def _generic(data: Mapping[str, Any], item: str) -> str:
    known = [str(data[key]) for key in ("location", "source", "state", "code", "reason") if data.get(key)]
    return " · ".join([item, *known] if item else known)


_SENTENCES: Final = {
    "stock.movement_recorded": _movement,
    "stock.movements_recorded": _movements,
    "stock.movement_parked": _parked,
    "stock.snapshot_applied": _snapshot,
    "availability.changed": _availability,
    "claim.made": _claims,
    "claim.ended": _claims,
    **dict.fromkeys(
        (
            "order.accepted",
            "order.held",
            "order.resumed",
            "order.changed",
            "order.change_refused",
            "order.shortened",
            "order.submitted",
            "order.released",
            "order.shipment_confirmed",
            "order.completed",
            "order.cancelled",
            "order.rejected",
            "order.exception_raised",
        ),
        _order,
    ),
}
