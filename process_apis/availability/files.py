"""Files of a source in a folder: read whole before anything of them counts, once by event, moved away when done.

Who writes a file gives it another name first and renames it when it is complete: only ``*.jsonl`` (a CloudEvent in each
line, as the events route takes them) and ``*.csv`` (a movement in each row) are read. A file is refused whole, with a
report beside it, when any line is malformed; what cannot be mapped is parked, as everywhere. Dying in the middle leaves
the file where it was, and what was recorded of it counts once.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.canonical.capabilities import RecordsStock
from gateway.canonical.stock import Receipt
from gateway.kernel.errors import CrossdockError, Rejected
from process_apis.availability.cloud_events import StockEvent, lines_of, report_of

_BATCH: Final = 500
_MOST_REFUSED: Final = 100
_LONGEST: Final = 1_000_000
_LINE: Final = frozenset(
    {"line", "item", "location", "amount", "uom", "from_bucket", "to_bucket", "order", "order_line", "lot", "serial",
     "bin", "owner", "reason"}
)  # fmt: skip
_Raw = bytes | Mapping[str, Any]
_NUMBERS: Final = frozenset({"line", "order_line", "epoch", "sequence", "revision"})
_decode: Final = msgspec.json.Decoder(StockEvent).decode


class FileDropOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where one source leaves files: ``*.jsonl`` with a CloudEvent in each line, ``*.csv`` with a movement in each row.

    `columns` says which column of a CSV file holds what (``item = "Article"``), `constants` what no column holds; the
    names are those of a movement's CloudEvent: `id`, `time`, `movement`, `sequence`, `epoch`, `revision`, `document`
    and those of its line. A row without an `id` counts once by the file's content and its number. With `checksum`,
    a file waits for ``NAME.sha256`` and is refused when it differs. `poll_seconds` is how often the folder is read.
    """

    folder: str
    columns: Mapping[str, str] = {}
    constants: Mapping[str, str] = {}
    checksum: bool = False
    poll_seconds: float = 10.0


class FileDrop:
    """The files of one source. Any number of workers may read one folder: what both read counts once."""

    def __init__(self, stock: RecordsStock, tenant: str, source: str, options: FileDropOptions) -> None:
        self._stock = stock
        self._tenant = tenant
        self._source = source
        self._options = options
        self._folder = Path(options.folder)

    async def run(self, stop: asyncio.Event) -> None:
        """Read what is there, again and again, until `stop`."""
        while not stop.is_set():
            await self.read_once()
            try:
                await asyncio.wait_for(stop.wait(), self._options.poll_seconds)
            except TimeoutError:
                continue

    async def read_once(self) -> int:
        """Read the files that are there now, by name; returns how many were taken or refused."""
        done = 0
        for path in sorted(self._folder.glob("*")):
            if path.suffix in {".jsonl", ".csv"} and path.is_file():
                done += await self._take(path)
        return done

    async def _take(self, path: Path) -> bool:
        try:
            digest = await asyncio.to_thread(_digest, path)
            wanted = _wanted(path)
            if wanted is None and self._options.checksum:
                return False
            refused = [] if wanted in (None, digest) else [{"line": 0, "detail": f"its SHA-256 is {digest}"}]
            refused = refused or await asyncio.to_thread(self._malformed, path, digest)
            if refused:
                await asyncio.to_thread(_put_away, path, "refused", {"sha256": digest, "refused": refused})
                return True
            try:
                receipt = await self._record(path, digest)
            except Rejected as refusal:  # what a line alone did not show; what came before it is recorded
                told: dict[str, Any] = {"sha256": digest, "refused": [{"line": 0, "detail": refusal.detail}]}
                await asyncio.to_thread(_put_away, path, "refused", told)
                return True
            told = {"sha256": digest, "recorded": receipt.recorded, "others": receipt.others}
            await asyncio.to_thread(_put_away, path, "done", told)
        except FileNotFoundError:  # another worker put it away
            return False
        return True

    async def _record(self, path: Path, digest: str) -> Receipt:
        receipt, batches = Receipt(), self._batches(path, digest)
        while batch := await asyncio.to_thread(next, batches, None):
            receipt = receipt.plus(await self._stock.record(self._tenant, report_of(batch, f"file/{path.name}"[:200])))
        return receipt

    def _malformed(self, path: Path, digest: str) -> list[dict[str, Any]]:
        """The first lines that are not what they should be, with why."""
        found: list[dict[str, Any]] = []
        number = 0
        try:
            for number, raw in self._rows(path):
                if detail := self._fault(raw, number, digest):
                    found.append({"line": number, "detail": detail})
                if len(found) >= _MOST_REFUSED:
                    break
        except (ValueError, csv.Error) as error:  # from here on it cannot even be read
            found.append({"line": number + 1, "detail": str(error)[:300]})
        return found

    def _fault(self, raw: _Raw, number: int, digest: str) -> str | None:
        try:
            event = self._event(raw, number, digest)
            report_of([event], "file")
        except (ValueError, CrossdockError) as error:
            return str(error)[:300]
        return None if event.source == self._source else f"it speaks for {event.source!r}, not for {self._source!r}"

    def _batches(self, path: Path, digest: str) -> Iterator[list[StockEvent]]:
        batch: list[StockEvent] = []
        lines = 0
        for number, raw in self._rows(path):
            event = self._event(raw, number, digest)
            if batch and lines + lines_of(event) > _BATCH:
                yield batch
                batch, lines = [], 0
            batch.append(event)
            lines += lines_of(event)
        if batch:
            yield batch

    def _rows(self, path: Path) -> Iterator[tuple[int, _Raw]]:
        if path.suffix == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as text:
                yield from enumerate(csv.DictReader(text), 2)
            return
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(_LONGEST + 1), b""), 1):
                if len(line) > _LONGEST:
                    raise ValueError(f"a line longer than {_LONGEST} bytes: send a snapshot in parts")
                if line.strip():
                    yield number, line

    def _event(self, raw: _Raw, number: int, digest: str) -> StockEvent:
        event: StockEvent = _decode(raw if isinstance(raw, bytes) else self._of_csv(raw, f"{digest[:32]}/{number}"))
        return event

    def _of_csv(self, row: Mapping[str, Any], name: str) -> bytes:
        told: dict[str, Any] = dict(self._options.constants)
        for field, column in self._options.columns.items():
            if value := str(row.get(column) or "").strip():
                told[field] = value
        told |= {field: int(told[field]) for field in _NUMBERS & told.keys() if str(told[field]).isdecimal()}
        line = {field: told.pop(field) for field in sorted(_LINE & told.keys())}
        event = {
            "specversion": "1.0",
            "type": "crossdock.stock.movement_reported.v1",
            "source": self._source,
            "id": told.pop("id", name),
            "time": told.pop("time", None),
            "data": told | {"lines": [line]},
        }
        return msgspec.json.encode(event)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _wanted(path: Path) -> str | None:
    beside = path.with_name(path.name + ".sha256")
    if not beside.is_file():
        return None
    return next(iter(beside.read_text(encoding="ascii", errors="replace").split()), "").lower()


def _put_away(path: Path, where: str, told: Mapping[str, Any]) -> None:
    """The report first, under its final name at once: whoever sees the file in its place finds the report beside it."""
    folder = path.parent / where
    folder.mkdir(exist_ok=True)
    name = f"{path.name}.{str(told['sha256'])[:12]}"
    report = folder / f"{name}.report.json"
    passing = report.with_suffix(".part")
    passing.write_bytes(msgspec.json.encode(told))
    passing.replace(report)
    path.replace(folder / name)
    path.with_name(path.name + ".sha256").unlink(missing_ok=True)
