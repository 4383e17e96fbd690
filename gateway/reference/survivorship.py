"""Which source's word counts. Pure.

Every source keeps its own statement of a record, and no statement overwrites another: what counts is decided attribute
by attribute from all of them, in the order that the attribute's ownership gives. So a ranking can change, a source can
take back what it said, and each attribute can tell where its value comes from and what the others say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

STEWARD: Final = "steward"
"""The source of what a person decides."""
SETTINGS: Final = "settings"
"""The source of what the settings declare."""
ANY: Final = "*"
"""In a ranking: every source that it does not name."""


class Ownership(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who owns one attribute.

    `publishes` ranks the sources whose value counts, best first; ``*`` stands for all that are not named, of which the
    one that spoke of the record first goes first. `enriches` ranks those that may fill in what no publisher says. A
    source in `validates` decides nothing: where it says otherwise, the value is disputed. `consumes` names who lives
    by the value.
    """

    publishes: tuple[str, ...] = (STEWARD, ANY, SETTINGS)
    enriches: tuple[str, ...] = ()
    validates: tuple[str, ...] = ()
    consumes: tuple[str, ...] = ()


DEFAULT: Final = Ownership()


class Statement(Struct, frozen=True, kw_only=True):
    """What one source says of one record, by attribute, and since when. A value None says that there is none."""

    source: str
    first_at: datetime
    said_at: Mapping[str, datetime]
    attributes: Mapping[str, Any]


class Said(Struct, frozen=True, kw_only=True):
    """What one source says of one attribute. `counts` is False for who may not decide it."""

    source: str
    value: Any
    since: datetime
    counts: bool


class Provenance(Struct, frozen=True, kw_only=True):
    """Where one attribute's value comes from, and what everybody else says of it. `disputed_by` names validators."""

    attribute: str
    value: Any
    source: str | None
    since: datetime | None
    others: tuple[Said, ...]
    disputed_by: tuple[str, ...]


def restated(
    before: Statement | None, source: str, attributes: Mapping[str, Any], now: datetime, *, whole: bool
) -> Statement | None:
    """What `source` says after saying `attributes`; None when that is what it said before.

    `whole`: it says nothing else any more. Else what it said of other attributes stands.
    """
    old = {} if before is None else before.attributes
    said = dict(attributes) if whole else {**old, **attributes}
    if before is not None and said == old:
        return None
    since = {} if before is None else before.said_at
    return Statement(
        source=source,
        first_at=now if before is None else before.first_at,
        said_at={
            attribute: since[attribute] if attribute in since and old[attribute] == value else now
            for attribute, value in said.items()
        },
        attributes=said,
    )


def surviving(statements: Iterable[Statement], owners: Mapping[str, Ownership]) -> dict[str, Any]:
    """The value of each attribute that somebody may decide and has spoken of."""
    best: dict[str, tuple[tuple[int, datetime, str], Any]] = {}
    for statement in statements:
        for attribute, value in statement.attributes.items():
            ownership = owners.get(attribute, DEFAULT)
            key = _order(statement, ownership)
            if key[0] >= 0 and (attribute not in best or key < best[attribute][0]):
                best[attribute] = (key, value)
    return {attribute: value for attribute, (_, value) in best.items()}


def provenance(
    statements: Sequence[Statement], owners: Mapping[str, Ownership], attributes: Sequence[str]
) -> list[Provenance]:
    """Where the value of each of `attributes` comes from, those that nobody speaks of included."""
    return [_provenance(attribute, statements, owners.get(attribute, DEFAULT)) for attribute in attributes]


def _provenance(attribute: str, statements: Sequence[Statement], owners: Ownership) -> Provenance:
    spoken = [each for each in statements if attribute in each.attributes]
    deciding = [each for each in spoken if _rank(each.source, owners) is not None]
    winner = min(deciding, key=lambda each: _order(each, owners), default=None)
    others = sorted((each for each in spoken if each is not winner), key=lambda each: each.source)
    value = None if winner is None else winner.attributes[attribute]
    return Provenance(
        attribute=attribute,
        value=value,
        source=None if winner is None else winner.source,
        since=None if winner is None else winner.said_at[attribute],
        others=tuple(
            Said(
                source=each.source,
                value=each.attributes[attribute],
                since=each.said_at[attribute],
                counts=_rank(each.source, owners) is not None,
            )
            for each in others
        ),
        disputed_by=tuple(
            each.source for each in others if each.source in owners.validates and each.attributes[attribute] != value
        ),
    )


def _order(statement: Statement, owners: Ownership) -> tuple[int, datetime, str]:
    rank = _rank(statement.source, owners)
    return (-1 if rank is None else rank, statement.first_at, statement.source)


def _rank(source: str, owners: Ownership) -> int | None:
    """The lower the better; None for who may not decide."""
    for rank, name in enumerate((*owners.publishes, *owners.enriches)):
        if name == source:
            return rank
    if source in owners.validates:
        return None
    return owners.publishes.index(ANY) if ANY in owners.publishes else None
