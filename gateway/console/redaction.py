"""What of a payload a person at the console may see: the words of the business, not those of people or keys.

Values are shown for the names listed here and masked for every other, so that a new field is hidden until somebody
decides otherwise (`semantics.md` 7, "payloads redacted").
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

MASK: Final = "•••"
# fmt: off
_SHOWN: Final = frozenset({
    "action", "allocated", "amount", "as_of", "asked_amount", "asked_uom", "at", "attempts", "available",
    "bin", "bucket", "cancelled", "cause", "channel", "claim", "code", "consumed", "currency", "cut_off",
    "cut_sequence", "detail", "difference", "document", "drifted", "due", "epoch", "event_id", "exception",
    "expected", "external", "external_number", "factor", "figures", "from", "from_bucket", "full", "handling",
    "item", "kind", "line", "location", "locations", "lot", "lowest", "movement", "number", "occurred_at",
    "on_hand", "open", "order", "order_id", "order_key", "order_line", "order_reference", "owner", "partner",
    "reason", "released", "replaces", "reported", "requested_date", "reserved", "revision", "sellable",
    "sequence", "serial", "shipment", "shipped", "short", "sku", "snapshot", "sold_to", "source",
    "source_amount", "source_item", "source_location", "source_reference", "source_uom", "state", "system",
    "taken_at", "to", "to_bucket", "total", "type", "unit_price", "uom", "version", "warehouse",
})
# fmt: on
_DEEPEST: Final = 12
_LONGEST_TEXT: Final = 500
_MOST: Final = 200
_CREDENTIALS: Final = (
    (re.compile(r"(?<=://)[^/@\s]+@"), f"{MASK}@"),
    (re.compile(r"(?i)\b(bearer|basic|session|dpop)\s+[\w.~+/=-]{6,}"), rf"\1 {MASK}"),
    (
        re.compile(
            r"(?i)([\w-]*(?:password|passwd|secret|token|api[_-]?key|signature)[\"']?\s*[=:]\s*[\"']?)[^\s\"',;&]+"
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), MASK),
)


def redacted(value: Any, *, shown: bool = False, depth: int = 0) -> Any:
    """`value` (as decoded from JSON) with every leaf masked whose name is not known to be harmless."""
    if depth > _DEEPEST:
        return MASK
    if isinstance(value, Mapping):
        return {
            str(name): redacted(part, shown=str(name) in _SHOWN or _is_amounts(part, shown), depth=depth + 1)
            for name, part in list(value.items())[:_MOST]
        }
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [redacted(part, shown=shown, depth=depth + 1) for part in value[:_MOST]]
    if value is None or isinstance(value, bool):
        return value
    if not shown:
        return MASK
    return scrubbed(value) if isinstance(value, str) else value


def _is_amounts(part: Any, parent_shown: bool) -> bool:
    """A table of figures under a shown name: its keys are codes (locations, buckets), so its numbers are shown."""
    return parent_shown and isinstance(part, int | float)


def scrubbed(text: str | None) -> str:
    """Free text, cut to a readable length, without anything that looks like a credential or a mail address."""
    found = (text or "")[:_LONGEST_TEXT]
    for pattern, replacement in _CREDENTIALS:
        found = pattern.sub(replacement, found)
    return found
