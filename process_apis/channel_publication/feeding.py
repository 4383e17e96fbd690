"""Feed files for partners who take batches: what may be sold of everything, or of what changed since the file before.

``availability-<channel>-<number>-<full|delta>.csv`` is whole from the moment that it is there, and its ``.sha256`` is
there before it (``sha256sum -c`` reads it). ``availability-<channel>.json`` names the latest, its number and the last
full one. Numbers rise by one; a delta holds what changed since the number before it. A crash between file and record
writes the same number again, with the same and what changed since.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from gateway.canonical.capabilities import AnswersAvailability, ResolvesItems
from gateway.canonical.item import Item
from gateway.canonical.stock import ItemAvailability
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Conflict, Misconfigured
from gateway.kernel.ids import new_id
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside
from process_apis.channel_publication.rules import figure_to_show, unit_of

_sql: Final = queries_beside(__file__)
_PAGE: Final = 1_000
_MOST_CHANGES: Final = 50_000
_HEAD: Final = ("sku", "item_id", "available_to_sell", "unit", "confidence", "as_of")


class FeedOptions(Struct, frozen=True, kw_only=True):
    """Where a channel's files go, and how often: a delta when something changed, and everything (seconds).

    They count in `selling_unit`, of items that have it (see `unit_of`).
    """

    channel: str
    folder: Path
    delta_seconds: float = 60.0
    full_seconds: float = 86_400.0
    selling_unit: str | None = None

    @property
    def key(self) -> str:
        """Its name beside published channels."""
        return f"feed/{self.channel}"


class FeedFile(Struct, frozen=True, kw_only=True):
    """What the pointer says of the latest file; `previous` is the number that a delta builds on."""

    file: str
    kind: str
    number: int
    previous: int
    full_number: int
    rows: int
    sha256: str
    written_at: datetime


Row = tuple[Item, ItemAvailability, int]


class Feed:
    """The files of one channel. One process writes them at a time; what loses the race writes nothing."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        tenant: str,
        options: FeedOptions,
        *,
        items: ResolvesItems,
        availability: AnswersAvailability,
    ) -> None:
        self.options = options
        self._store = store
        self._clock = clock
        self._tenant = tenant
        self._key = (tenant, options.key)
        self._items = items
        self._availability = availability

    async def write_due(self) -> FeedFile | None:
        """Write what is due by time: everything, or what changed; None when nothing is."""
        await self._store.execute(_sql.open_feed, *self._key)
        row = await self._store.fetchrow(_sql.feed, *self._key)
        if row is None:
            return None
        if _older(row["full_at"], self.options.full_seconds, self._clock.now()):
            return await self.write(full=True)
        if _older(row["written_at"], self.options.delta_seconds, self._clock.now()):
            return await self.write(full=False)
        return None

    async def write(self, *, full: bool) -> FeedFile | None:
        """Write a file now; None when it were a delta of nothing."""
        await self._store.execute(_sql.open_feed, *self._key)
        row = await self._store.fetchrow(_sql.feed, *self._key)
        if row is None:
            return None
        full = full or row["full_at"] is None
        due = [] if full else await self._store.fetch(_sql.feed_due, *self._key, _MOST_CHANGES)
        rows = await self._everything() if full else await self._changed([each["item"] for each in due])
        marks = [(each["item"], each["revision"]) for each in due]
        if not rows and not full:
            await self._forget(marks)
            return None
        number = row["number"] + 1
        mark = new_id("feed")
        full_number = number if full else row["full_number"]
        told = await asyncio.to_thread(self._prepare, rows, number, full_number, mark, full=full)
        async with self._store.transaction() as connection:
            if await connection.fetchval(_sql.lock_feed, *self._key) != row["number"]:
                self._discard(told, mark)
                raise Conflict(
                    f"another process wrote the feed of {self.options.channel}: read it, or try again",
                    code="feed.written",
                )
            self._put(told, mark)
            if full:
                self._prune(row["full_number"])
            await connection.execute(_sql.move_feed, *self._key, number, full)
            columns = sorted((item.item, item.sku, units) for item, _, units in rows)
            if columns:
                await connection.execute(_sql.note_fed, *self._key, *map(list, zip(*columns, strict=True)))
        await self._forget(marks)
        return told

    async def _everything(self) -> list[Row]:
        rows: list[Row] = []
        after: str | None = None
        while page := await self._items.list_items(self._tenant, after=after, limit=_PAGE):
            after = page[-1].item
            rows += await self._reckon([item for item in page if item.sellable])
        return rows

    async def _changed(self, items: Sequence[str]) -> list[Row]:
        rows: list[Row] = []
        for first in range(0, len(items), _PAGE):
            some = items[first : first + _PAGE]
            known = await self._items.by_id(self._tenant, some)
            fed = {row["item"]: row["base"] for row in await self._store.fetch(_sql.fed_of, *self._key, list(some))}
            reckoned = await self._reckon([known[item] for item in some if item in known])
            rows += [row for row in reckoned if fed.get(row[0].item) != row[2]]
        return rows

    async def _reckon(self, items: Sequence[Item]) -> list[Row]:
        by_id = {item.item: item for item in items}
        answers = await self._availability.availability(
            self._tenant, channel=self.options.channel, items=list(by_id), from_record=True
        )
        return [
            (item, answer, figure_to_show(answer.available_to_sell, unit=unit_of(item, self.options.selling_unit)))
            for answer in answers
            for item in [by_id[answer.item]]
        ]

    async def _forget(self, marks: Sequence[tuple[str, int]]) -> None:
        if marks:
            items, revisions = map(list, zip(*marks, strict=True))
            await self._store.execute(_sql.drop_due, *self._key, items, revisions)

    def _prepare(self, rows: Sequence[Row], number: int, full_number: int, mark: str, *, full: bool) -> FeedFile:
        kind = "full" if full else "delta"
        text = io.StringIO(newline="")
        writer = csv.writer(text)  # RFC 4180
        writer.writerow(_HEAD)
        for item, answer, units in sorted(rows, key=lambda row: row[0].sku):
            as_of = answer.as_of.isoformat().replace("+00:00", "Z")
            uom = self.options.selling_unit if unit_of(item, self.options.selling_unit) > 1 else answer.uom
            writer.writerow((item.sku, item.item, units, uom, answer.confidence.value, as_of))
        body = text.getvalue().encode()
        name = f"availability-{self.options.channel}-{number:09d}-{kind}.csv"
        digest = hashlib.sha256(body).hexdigest()
        try:
            self.options.folder.mkdir(parents=True, exist_ok=True)
            _replace(self.options.folder / f".{name}.{mark}", body)
            _replace(self.options.folder / f".{name}.sha256.{mark}", f"{digest}  {name}\n".encode())
        except OSError as error:
            raise _cannot(self.options.folder, error) from error
        return FeedFile(
            file=name,
            kind=kind,
            number=number,
            previous=number - 1,
            full_number=full_number,
            rows=len(rows),
            sha256=digest,
            written_at=self._clock.now(),
        )

    def _put(self, told: FeedFile, mark: str) -> None:
        """Under the lock: the checksum, the file, the pointer; each is there whole or not at all."""
        folder = self.options.folder
        pointer = folder / f"availability-{self.options.channel}.json"
        try:
            for name in (f"{told.file}.sha256", told.file):
                (folder / f".{name}.{mark}").rename(folder / name)
            _replace(folder / f".{pointer.name}.new", msgspec.json.format(msgspec.json.encode(told)))
            (folder / f".{pointer.name}.new").rename(pointer)
        except OSError as error:
            raise _cannot(folder, error) from error

    def _discard(self, told: FeedFile, mark: str) -> None:
        for name in (f"{told.file}.sha256", told.file):
            (self.options.folder / f".{name}.{mark}").unlink(missing_ok=True)

    def _prune(self, before: int) -> None:
        """With a new full file go those that are older than the full one before it."""
        for path in self.options.folder.glob(f"availability-{self.options.channel}-*.csv*"):
            number = path.name.removeprefix(f"availability-{self.options.channel}-").partition("-")[0]
            if number.isdigit() and int(number) < before:
                path.unlink(missing_ok=True)


def _replace(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _older(at: datetime | None, seconds: float, now: datetime) -> bool:
    return at is None or (now - at).total_seconds() >= seconds


def _cannot(folder: Path, error: OSError) -> Misconfigured:
    return Misconfigured(
        f"cannot write feed files to {folder}: {error.strerror}; make room, or give this user the folder",
        code="feed.not_written",
    )
