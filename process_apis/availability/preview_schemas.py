"""The shapes of a rule's dry run. Amounts are exact decimals, as strings, in base units of the item."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from gateway.kernel.quantity import plain
from process_apis.availability.previewing import Preview
from process_apis.availability.rule_schemas import Instant, TermsInput
from process_apis.availability.schemas import Figure


class PreviewInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """Terms to be tried, whole, against what is in force at `at` (now, if it is left out)."""

    channel: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$(?!\n)")]
    terms: TermsInput
    at: Instant | None = None
    offset: Annotated[int, Meta(ge=0, le=10_000)] = 0
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class FigureChangeView(Struct, kw_only=True):
    """What a channel may sell of an item; `channel` is null for every channel without a rule."""

    item: str
    channel: str | None
    before: Figure
    after: Figure


class PreviewView(Struct, kw_only=True):
    """What the terms would change, the largest first; `gained` and `lost` are over all of it.

    `complete` is false where there are more items than a preview looks at. `replaces` is the version that would go.
    """

    channel: str
    replaces: int
    at: datetime
    items_examined: int
    items_changed: int
    gained: Figure
    lost: Figure
    complete: bool
    changes: Annotated[list[FigureChangeView], Meta(max_length=200)]


def preview_view(channel: str, found: Preview) -> PreviewView:
    """A preview on the wire."""
    return PreviewView(
        channel=channel,
        replaces=found.replaces,
        at=found.at,
        items_examined=found.items,
        items_changed=found.changed,
        gained=plain(found.gained),
        lost=plain(found.lost),
        complete=found.complete,
        changes=[
            FigureChangeView(
                item=each.item, channel=each.channel or None, before=plain(each.before), after=plain(each.after)
            )
            for each in found.changes
        ],
    )
