"""What the log tells of recorded movements: those of orders one by one, all others of a batch together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from gateway.canonical.events import Event
from gateway.canonical.order import order_of
from process_apis.availability.models import Mapped

_TOGETHER: Final = 100
_SAID: Final = (
    "movement", "type", "item", "location", "owner", "amount", "source", "event_id", "line", "revision", "from", "to",
    "lot", "document",
)  # fmt: skip


def movement_events(tenant: str, moving: Iterable[Mapped], replaced: Mapping[str, str]) -> list[Event]:
    """One event for each movement that names an order or replaces another; one for up to 100 of the rest.

    Consumers act on the former one by one (`stock.movement_recorded`). The rest go together where they belong together
    (`stock.movements_recorded`): an event costs the record, the carrier and every reader as much as a movement does.
    `replaced` names, for each movement that revises one, the one that it revises.
    """
    alone: list[Event] = []
    others: dict[str | None, list[Mapped]] = {}
    for each in moving:
        if each.reported.order_reference is not None or each.movement in replaced:
            alone.append(_event(tenant, each, replaced.get(each.movement)))
        else:
            others.setdefault(each.reported.correlation_id, []).append(each)
    return alone + [
        _together(tenant, some[start : start + _TOGETHER])
        for some in others.values()
        for start in range(0, len(some), _TOGETHER)
    ]


def correlation_of(each: Mapped) -> str:
    """What the source said a movement belongs to, else its own event."""
    return each.reported.correlation_id or f"{each.reported.source}:{each.reported.event_id}"


def _event(tenant: str, each: Mapped, replaces: str | None) -> Event:
    return Event(
        tenant=tenant,
        type="stock.movement_recorded",
        aggregate=each.movement,
        aggregate_version=1,
        occurred_at=each.reported.occurred_at,
        correlation_id=correlation_of(each),
        causation_id=each.reported.event_id,
        data=_data(each) | {"replaces": replaces},
    )


def _together(tenant: str, some: Sequence[Mapped]) -> Event:
    first, latest = some[0], max(some, key=lambda each: each.reported.occurred_at)
    return Event(
        tenant=tenant,
        type="stock.movements_recorded",
        aggregate=f"movements/{first.movement}",
        aggregate_version=1,
        occurred_at=latest.reported.occurred_at,
        correlation_id=correlation_of(first),
        causation_id=first.reported.event_id,
        data={"fields": _SAID, "movements": [_values(each) for each in some]},
    )


def _data(each: Mapped) -> dict[str, Any]:
    order, release = order_of(each.reported.order_reference)
    told = dict(zip(_SAID, _values(each), strict=True)) | {"order": order, "order_line": each.reported.order_line}
    return told if release == 1 else told | {"release": release}


def _values(each: Mapped) -> list[Any]:
    """What is said of every movement, in the order of `_SAID`."""
    reported = each.reported
    return [
        each.movement, reported.type, each.item, each.location, each.owner, each.amount, reported.source,
        reported.event_id, reported.line, reported.revision, each.way.origin, each.way.target, reported.lot,
        reported.document,
    ]  # fmt: skip
