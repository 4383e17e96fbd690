"""The projection: figures of every stock line in Valkey, for reading fifty items in one round trip.

Each item is one hash in the current generation: a field per stock line and per channel counter, written only when
(log epoch, version) is newer than what stands there. All of it may vanish or be old after a restart of the cache, so
the pointer to the generation names the server's run it was built in: any other run, and readers go to the record until
the projection is rebuilt into a new generation.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from gateway.cache.valkey import Cache
from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Recorded
from gateway.kernel.errors import CrossdockError, Unavailable
from gateway.kernel.ids import new_id
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.availability.lags import Lags
from process_apis.availability.models import Held, StockLine

_sql: Final = queries_beside(__file__)
_log: Final = logging.getLogger(__name__)
_PAGE: Final = 2_000
_BUILD_MS: Final = 60_000
_LOOK_S: Final = 1.0

_WRITE: Final = """
for i = 1, #ARGV, 4 do
    local old = redis.call('HGET', KEYS[1], ARGV[i])
    local newer = true
    if old then
        local epoch, version = string.match(old, '^(%d+) (%d+) ')
        epoch, version = tonumber(epoch), tonumber(version)
        local e, v = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
        newer = e > epoch or (e == epoch and v > version)
    end
    if newer then
        redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1] .. ' ' .. ARGV[i + 2] .. ' ' .. ARGV[i + 3])
    end
end
return 1
"""
_FLIP: Final = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2])
redis.call('DEL', KEYS[2])
return 1
"""


class LineFigures(msgspec.Struct, array_like=True, frozen=True):
    """A stock line as its field holds it."""

    on_hand: Decimal
    sellable: Decimal
    reserved: Decimal
    allocated: Decimal
    external: Decimal
    as_of: datetime


class ItemStock(msgspec.Struct):
    """All that is known of one item: its stock lines, and what channels hold by (channel, owner)."""

    lines: list[StockLine]
    channels: dict[tuple[str, str], Held]


_encode: Final = msgspec.json.Encoder(decimal_format="string").encode
_decode_line: Final = msgspec.json.Decoder(LineFigures).decode

Field = tuple[str, int, int, bytes]
"""Name, log epoch, version, value."""


class Projection:
    """Writes and reads the projection. Its handler belongs to a subscription; `run` to one task of each worker."""

    def __init__(self, store: Store, cache: Cache, lags: Lags | None = None) -> None:
        self._store = store
        self._cache = cache
        self._lags = lags
        self._write = cache.script(_WRITE)
        self._flip = cache.script(_FLIP)
        self._current = cache.key("{availability}", "current")
        self._building = cache.key("{availability}", "building")
        self._run: bytes = b""
        self._connections = -1
        self._guess: bytes = b""
        self._sweep_again: str | None = None

    # --- writing --------------------------------------------------------------------------------------------------

    async def handle(self, connection: Connection, recorded: Recorded) -> None:
        """Write one `availability.changed`. A cache that is down marks the projection for rebuilding, and is passed."""
        await self.handle_all(connection, [recorded])

    async def handle_all(self, connection: Connection, events: Sequence[Recorded]) -> None:
        """Write several, in two round trips to the cache."""
        items = _fields_of(events)
        try:
            generations = await asyncio.gather(
                self._cache.command("GET", self._current), self._cache.command("GET", self._building)
            )
            for generation in {value.split(b" ")[0].decode() for value in generations if value}:
                await asyncio.gather(
                    *(self._put(generation, tenant, item, fields) for (tenant, item), fields in items.items())
                )
        except Unavailable:
            await connection.execute(_sql.set_dirty, True)
            return
        if self._lags is not None:
            for recorded in events:
                self._lags.published(recorded.event.tenant, recorded.event.data["location"], recorded.recorded_at)

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the projection complete until `stop` is set: look once a second, rebuild when needed."""
        while not stop.is_set():
            try:
                await self.ensure()
            except CrossdockError as error:
                _log.debug("the projection waits: %s", error.detail)
            try:
                await asyncio.wait_for(stop.wait(), _LOOK_S)
            except TimeoutError:
                continue

    async def ensure(self) -> bool:
        """Rebuild if it is missing, of another run of the cache, or marked; true when it was rebuilt."""
        if self._sweep_again is not None:
            generation, self._sweep_again = self._sweep_again, None
            await self._sweep(generation)
        dirty = bool(await self._store.fetchval(_sql.is_dirty))
        if not dirty and await self._generation() is not None:
            return False
        if dirty:
            await self._cache.command("DEL", self._current)
            await self._store.execute(_sql.set_dirty, False)
        rebuilt = False
        try:
            rebuilt = await self.rebuild()
        finally:
            if dirty and not rebuilt:
                await self._store.execute(_sql.set_dirty, True)
        return rebuilt

    async def rebuild(self) -> bool:
        """Fill a new generation from the record and flip to it; false when somebody else is at it."""
        generation = new_id("gen")
        if await self._cache.command("SET", self._building, generation, "NX", "PX", _BUILD_MS) is None:
            return False
        run = await self._run_id()
        epoch = await self._store.fetchval(_sql.log_epoch)
        await self._fill(generation, epoch, _sql.all_lines, ("item", "location", "owner"), line_field)
        await self._fill(generation, epoch, _sql.all_channels, ("item", "channel", "owner"), channel_field)
        flipped = bool(await self._flip([self._current, self._building], [generation, run]))
        if flipped:
            await self._sweep(generation)
            # A change on its way to the generation before may still write to it: the next look sweeps that too.
            self._sweep_again = generation
        return flipped

    async def _fill(self, generation: str, epoch: int, query: str, key: tuple[str, ...], field: Any) -> None:
        after = ("", "", "", "")
        while rows := await self._store.fetch(query, *after, _PAGE):
            last = rows[-1]
            after = (last["tenant"], *(last[name] for name in key))
            items: dict[tuple[str, str], list[Field]] = {}
            for row in rows:
                items.setdefault((row["tenant"], row["item"]), []).append(field(epoch, row))
            await asyncio.gather(*(self._put(generation, *where, fields) for where, fields in items.items()))
            await self._cache.command("PEXPIRE", self._building, _BUILD_MS)

    async def _put(self, generation: str, tenant: str, item: str, fields: Iterable[Field]) -> None:
        arguments = [part for field in fields for part in field]
        await self._write([self._key(generation, tenant, item)], arguments)

    async def _sweep(self, generation: str) -> None:
        ours, cursor = self._key(generation, "", "").rstrip(":").encode(), b"0"
        pattern = self._cache.key("available", "*")
        while True:
            cursor, keys = await self._cache.command("SCAN", cursor, "MATCH", pattern, "COUNT", 1_000)
            if old := [key for key in keys if not key.startswith(ours)]:
                await asyncio.gather(*(self._cache.command("UNLINK", key) for key in old))
            if cursor == b"0":
                return

    # --- reading --------------------------------------------------------------------------------------------------

    async def read(self, tenant: str, items: Sequence[str]) -> Mapping[str, ItemStock]:
        """What is projected of `items`, in one round trip; those it does not hold are left out.

        Raises `Unavailable` when there is no projection to read: down, empty, or of another run of the cache.
        """
        if self._connections != self._cache.connections:
            connections, self._run = self._cache.connections, (await self._run_id()).encode()
            self._connections = connections
        for _ in range(2):
            generation = self._guess.decode()
            current, *hashes = await asyncio.gather(
                self._cache.command("GET", self._current),
                *(self._cache.command("HGETALL", self._key(generation, tenant, item)) for item in items),
            )
            found, _, run = (current or b"").partition(b" ")
            if not found or run != self._run:
                raise Unavailable("the projection is not built; read the record", code="availability.not_projected")
            if found == self._guess:
                return {item: _stock(item, fields) for item, fields in zip(items, hashes, strict=True) if fields}
            self._guess = found
        raise Unavailable("the projection is being replaced; read the record", code="availability.not_projected")

    async def _generation(self) -> str | None:
        current = await self._cache.command("GET", self._current)
        found, _, run = (current or b"").decode().partition(" ")
        return found if found and run == await self._run_id() else None

    async def _run_id(self) -> str:
        info: bytes = await self._cache.command("INFO", "server")
        for line in info.split(b"\r\n"):
            if line.startswith(b"run_id:"):
                return line.removeprefix(b"run_id:").decode()
        return "unknown"

    def _key(self, generation: str, tenant: str, item: str) -> str:
        return self._cache.key("available", generation, tenant, item)


def _fields_of(events: Iterable[Recorded]) -> dict[tuple[str, str], list[Field]]:
    """By tenant and item, the newest of each field that the events tell."""
    found: dict[tuple[str, str], dict[str, tuple[int, int, Any, Mapping[str, Any]]]] = {}
    for recorded in events:
        data, epoch = recorded.event.data, recorded.position.epoch
        fields = found.setdefault((recorded.event.tenant, data["item"]), {})
        told = [(f"l/{data['location']}/{data['owner']}", line_field, data)]
        told += [(f"c/{each['channel']}/{each['owner']}", channel_field, each) for each in data.get("channels", ())]
        for name, made_by, row in told:
            known = fields.get(name)
            if known is None or (epoch, row["version"]) > known[:2]:
                fields[name] = (epoch, row["version"], made_by, row)
    return {
        where: [made_by(epoch, row) for epoch, _, made_by, row in fields.values()] for where, fields in found.items()
    }


def line_field(epoch: int, row: Mapping[str, Any]) -> Field:
    """The field of one stock line, from its row or its event."""
    figures = [row[name] for name in ("on_hand", "sellable", "reserved", "allocated", "external", "as_of")]
    return (_encode(["l", row["location"], row["owner"]]).decode(), epoch, row["version"], _encode(figures))


def channel_field(epoch: int, row: Mapping[str, Any]) -> Field:
    """The field of what one channel holds, from its row or its event; an allotment follows where it draws from one."""
    held = row["open"] if row.get("allotment") is None else [row["open"], row["allotment"], row["drawn"]]
    return (_encode(["c", row["channel"], row["owner"]]).decode(), epoch, row["version"], _encode(held))


def _stock(item: str, fields: Sequence[bytes]) -> ItemStock:
    stock = ItemStock(lines=[], channels={})
    for name, stored in zip(fields[::2], fields[1::2], strict=True):
        kind, what, owner = msgspec.json.decode(name, type=tuple[str, str, str])
        _, version, value = stored.split(b" ", 2)
        if kind == "c":
            stock.channels[what, owner] = _held(value, int(version))
            continue
        figures = _decode_line(value)
        stock.lines.append(
            StockLine(
                item=item,
                location=what,
                owner=owner,
                on_hand=figures.on_hand,
                sellable=figures.sellable,
                reserved=figures.reserved,
                allocated=figures.allocated,
                external=figures.external,
                version=int(version),
                as_of=figures.as_of,
            )
        )
    return stock


def _held(value: bytes, version: int) -> Held:
    if not value.startswith(b"["):
        return Held(msgspec.json.decode(value, type=Decimal), version)
    opened, allotment, drawn = msgspec.json.decode(value, type=tuple[Decimal, str, Decimal])
    return Held(opened, version, allotment, drawn)
