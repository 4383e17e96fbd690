"""What is left to do, as the record tells it: for consumers of the log, its carrier, dead letters and queued turns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from gateway.backbone.consumer import Subscription
from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Position
from gateway.kernel.errors import Unavailable
from gateway.store.log_reader import BEGINNING
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from gateway.telemetry.counters import Family, Kind

_sql: Final = queries_beside(__file__)
_TURNS: Final = {"ENQUEUED": "waiting", "PENDING": "running"}
_Waiting = tuple[str, float, float]


class Backlog:
    """Reads it when asked. `relayed` tells, by stream, how far this process has published the log, if it does."""

    def __init__(
        self, store: Store, subscriptions: Sequence[Subscription], relayed: Callable[[], Mapping[str, Position]]
    ) -> None:
        self._store = store
        self._subscriptions = tuple(subscriptions)
        self._relayed = relayed

    async def families(self) -> list[Family]:
        """All of it; where the record is away, only that it is."""
        try:
            async with self._store.connection() as connection:
                found = await self._read(connection)
        except Unavailable:
            return [_record_answers(False)]
        return [*found, _record_answers(True)]

    async def _read(self, connection: Connection) -> list[Family]:
        positions = {
            row["name"]: Position(row["log_epoch"], row["transaction_id"], row["event_id"])
            for row in await connection.fetch(_sql.positions)
        }
        consumers = [
            await _waiting(connection, each.name, each.stream, positions.get(each.name, BEGINNING), sorted(each.types))
            for each in self._subscriptions
        ]
        outbox = [
            await _waiting(connection, stream, stream, position, None) for stream, position in self._relayed().items()
        ]
        letters = await connection.fetch(_sql.dead_letters)
        turns = {row["status"]: row["turns"] for row in await connection.fetch(_sql.turns)}
        return [
            *_told("crossdock_consumer_waiting", "a consumer", ("consumer",), consumers),
            *_told("crossdock_outbox_waiting", "the carrier", ("stream",), outbox),
            Family(
                "crossdock_dead_letters",
                "Events that consumers have set aside and nobody has resolved, up to 10,000.",
                Kind.GAUGE,
                ("consumer", "state"),
                [((row["consumer"], row["state"]), row["letters"]) for row in letters],
            ),
            Family(
                "crossdock_turns",
                "Turns of workflows over all workers, up to 10,000.",
                Kind.GAUGE,
                ("state",),
                [((word,), turns.get(status, 0)) for status, word in _TURNS.items()],
            ),
        ]


async def _waiting(
    connection: Connection, label: str, stream: str, after: Position, types: Sequence[str] | None
) -> _Waiting:
    row = await connection.fetchrow(_sql.waiting, stream, after.epoch, after.transaction, after.event, types)
    return (label, 0.0, 0.0) if row is None else (label, float(row["events"]), max(row["seconds"], 0.0))


def _told(name: str, whom: str, labels: tuple[str, ...], waiting: Iterable[_Waiting]) -> list[Family]:
    found = list(waiting)
    return [
        Family(
            f"{name}_events",
            f"Events of the log that wait for {whom}, of the next 10,000.",
            Kind.GAUGE,
            labels,
            [((label,), events) for label, events, _ in found],
        ),
        Family(
            f"{name}_seconds",
            f"The age of the oldest event that waits for {whom}.",
            Kind.GAUGE,
            labels,
            [((label,), seconds) for label, _, seconds in found],
        ),
    ]


def _record_answers(answers: bool) -> Family:
    text = "1 when the record told the figures of this scrape, 0 when it is away and they are missing."
    return Family("crossdock_record_answers", text, Kind.GAUGE, (), [((), float(answers))])
