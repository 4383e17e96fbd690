"""What a row of the log holds: one event, or those of one kind that a transaction wrote together.

What costs most about an event is its row: its entry in each index, its message on the carrier. Kinds that the taxonomy
marks `together` share one. Its place is that of the last of them; those before it bear the numbers before. A `bulky`
one is written as if it shared its row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import repeat
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.canonical.events import Event, Position, Recorded

MOST: Final = 500
"""Events in a row: well below the numbers that a row takes (migration 5), and some 100 kB, which a message carries."""

_encode: Final = msgspec.json.Encoder(decimal_format="string").encode
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode
_HEAD: Final = 4
_LEFT_OUT: Final = "?"


class Members(Struct, frozen=True):
    """The events of a shared row.

    `fields` are the names in their data, with ``?`` behind those that are left out where they are null. Each of
    `events` is aggregate, aggregate_version, correlation_id, causation_id, then a value for each field.
    """

    fields: list[str]
    events: list[list[Any]]


class Shared(Struct, frozen=True, kw_only=True):
    """A shared row, as it is carried. `position` is that of its last event; `members` is the JSON of `Members`."""

    position: Position
    recorded_at: datetime
    version: int
    tenant: str
    type: str
    stream: str
    occurred_at: datetime
    members: msgspec.Raw

    def events(self) -> list[Recorded]:
        """Every event by itself; raises `msgspec.MsgspecError` when the members are not what they should be."""
        members = _members(self.members)
        names = [name.removesuffix(_LEFT_OUT) for name in members.fields]
        optional = [name.removesuffix(_LEFT_OUT) for name in members.fields if name.endswith(_LEFT_OUT)]
        epoch, transaction = self.position.epoch, self.position.transaction
        first = self.position.event - len(members.events) + 1
        found = []
        for number, values in enumerate(members.events, start=first):
            data = dict(zip(names, values[_HEAD:], strict=True))
            for name in optional:
                if data[name] is None:
                    del data[name]
            event = Event(
                tenant=self.tenant,
                type=self.type,
                aggregate=values[0],
                aggregate_version=values[1],
                occurred_at=self.occurred_at,
                data=data,
                correlation_id=values[2],
                causation_id=values[3],
                stream=self.stream,
            )
            place = Position(epoch, transaction, number)
            found.append(Recorded(position=place, recorded_at=self.recorded_at, event=event, version=self.version))
        return found


_members: Final = msgspec.json.Decoder(Members).decode


def row_of(row: Mapping[str, Any]) -> Recorded | Shared:
    """What a row of `store.event` holds."""
    place = Position(row["log_epoch"], row["transaction_id"], row["id"])
    if row["members"] is not None:
        return Shared(
            position=place,
            recorded_at=row["recorded_at"],
            version=row["version"],
            tenant=row["tenant"],
            type=row["type"],
            stream=row["stream"],
            occurred_at=row["occurred_at"],
            members=msgspec.Raw(row["members"]),
        )
    return Recorded(
        position=place,
        recorded_at=row["recorded_at"],
        version=row["version"],
        event=Event(
            tenant=row["tenant"],
            type=row["type"],
            aggregate=row["aggregate"],
            aggregate_version=row["aggregate_version"],
            occurred_at=row["occurred_at"],
            data=_decode(row["data"]),
            correlation_id=row["correlation_id"],
            causation_id=row["causation_id"],
            stream=row["stream"],
        ),
    )


def shares(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    """Those of `events` that go into one row each; all are of kinds that share one."""
    found: dict[tuple[str, str, str, datetime], list[Event]] = {}
    for event in events:
        found.setdefault((event.stream, event.tenant, event.type, event.occurred_at), []).append(event)
    for some in found.values():
        yield from (some[start : start + MOST] for start in range(0, len(some), MOST))


def members_of(events: Sequence[Event]) -> str:
    """The JSON of the `Members` of a row; amounts are written as strings."""
    names = list(events[0].data)
    if all(list(event.data) == names for event in events):  # as nearly always
        alike = [
            [event.aggregate, event.aggregate_version, event.correlation_id, event.causation_id, *event.data.values()]
            for event in events
        ]
        return members_of_values(names, alike)
    names = list(dict.fromkeys(name for event in events for name in event.data))
    fields = [name if all(name in event.data for event in events) else name + _LEFT_OUT for name in names]
    told = [
        [
            event.aggregate, event.aggregate_version, event.correlation_id, event.causation_id,
            *map(event.data.get, names, repeat(None)),
        ]
        for event in events
    ]  # fmt: skip
    return members_of_values(fields, told)


def members_of_values(fields: Sequence[str], events: Sequence[Sequence[Any]]) -> str:
    """The JSON of `Members`; amounts are written as strings."""
    return _encode({"fields": fields, "events": events}).decode()
