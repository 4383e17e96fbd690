"""How a worker keeps records: gathered in memory, packed once a second, written beside the requests.

A request never waits for its record. While the record (PostgreSQL) is away, blocks wait, up to `MOST_WAITING` bytes;
what does not fit is counted and noted as soon as it is back. A worker that is killed takes its last second with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from gateway.explain.blocks import Block, Reason, Write, add_blocks, drop_old, missing, pack
from gateway.explain.options import ExplainOptions
from gateway.explain.record import Record, kind_of, record_of
from gateway.kernel.clock import Clock
from gateway.kernel.errors import CrossdockError
from gateway.kernel.exchange import Exchange
from gateway.store.postgres import Store
from gateway.telemetry.counters import Counters

_log: Final = logging.getLogger("crossdock.explain")
EVERY_SECONDS: Final = 1.0
MOST_GATHERED: Final = 50_000
MOST_WAITING: Final = 32 * 1024**2
_TIDY_SECONDS: Final = 30.0
_LAST_WORDS_SECONDS: Final = 5.0
_AT_ONCE: Final = 20
_SHARES: Final = {"read": 0.5, "denial": 0.75, "write": 1.0}


class Collector:
    """What the access log tells of every exchange that `explain` may be asked about.

    `names` are the steps of the chain, `held` gives the configuration's version, `sample` puts the next read on record.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        options: ExplainOptions | None = None,
        *,
        worker: str,
        names: Sequence[str],
        held: Callable[[], int] = lambda: 0,
        sample: Callable[[], None] = lambda: None,
        counters: Counters | None = None,
        write: Write | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._options = options or ExplainOptions()
        self._worker = worker
        self._names = tuple(names)
        self._held = held
        self._sample = sample
        self._write = write or self._add
        self._gathered: list[Record] = []
        self._left_out: dict[Reason, list[int]] = {}
        self._blocks: deque[Block] = deque()
        self._waiting_bytes = 0
        self._used = 0
        self._tidied_at = float("-inf")
        self._epoch = clock.now().timestamp() - clock.monotonic()
        counters = counters or Counters()
        self._kept = counters.counter("crossdock_explain_records_total", "Requests kept for explain.", ("kind",))
        self._lost = counters.counter(
            "crossdock_explain_not_kept_total", "Requests that explain cannot answer for.", ("reason",)
        )

    def __call__(self, exchange: Exchange, seconds: float) -> None:
        """Keep one finished exchange."""
        if not exchange.request_id:  # its client left before it had a name: nobody can ask about it
            return
        record = record_of(exchange, seconds, epoch=self._epoch, names=self._names, configuration=self._held())
        kind = kind_of(record.method, record.status, sampled=record.decisions is not None)
        if self._used >= self._options.most_bytes * _SHARES[kind]:
            self._leave_out(record.arrived_ms, record.arrived_ms, 1, "cap")
        elif len(self._gathered) >= MOST_GATHERED:
            self._leave_out(record.arrived_ms, record.arrived_ms, 1, "record")
        else:
            self._gathered.append(record)
            self._kept.add(kind)

    def _leave_out(self, first_ms: int, last_ms: int, count: int, reason: Reason) -> None:
        self._lost.add(reason, amount=count)
        left = self._left_out.setdefault(reason, [first_ms, last_ms, 0])
        left[0], left[1], left[2] = min(left[0], first_ms), max(left[1], last_ms), left[2] + count

    async def pack(self) -> None:
        """Make blocks of what was gathered; compressing it keeps no request waiting."""
        self._epoch = self._clock.now().timestamp() - self._clock.monotonic()
        gathered, self._gathered = self._gathered, []
        if not gathered:
            return
        try:
            blocks = await asyncio.to_thread(pack, self._names, gathered)
        except asyncio.CancelledError:
            self._gathered = gathered + self._gathered
            raise
        except Exception:
            self._leave_out(gathered[0].arrived_ms, gathered[-1].arrived_ms, len(gathered), "record")
            raise
        for block in blocks:
            if self._waiting_bytes + len(block.content) > MOST_WAITING:
                first, last = (int(at.timestamp() * 1000) for at in (block.first_arrived, block.last_arrived))
                self._leave_out(first, last, block.kept, "record")
            else:
                self._append(block)

    def _append(self, block: Block) -> None:
        self._blocks.append(block)
        self._waiting_bytes += len(block.content)

    async def write(self) -> None:
        """Write what waits; raises `CrossdockError`, and loses nothing, when the record does not take it."""
        left_out, self._left_out = self._left_out, {}
        for reason, (first, last, count) in left_out.items():
            self._append(missing(first, last, count, reason))
        while self._blocks:
            batch = [self._blocks[at] for at in range(min(_AT_ONCE, len(self._blocks)))]
            await self._write(batch)
            for block in batch:
                self._blocks.popleft()
                self._waiting_bytes -= len(block.content)
                self._used += len(block.content)

    async def _add(self, blocks: Sequence[Block]) -> None:
        async with self._store.connection() as connection:
            await add_blocks(connection, self._worker, blocks)

    async def tidy(self) -> None:
        """Drop what is too old, and learn how much all workers keep."""
        self._used = await drop_old(self._store, self._options.hours)
        self._tidied_at = self._clock.monotonic()

    @asynccontextmanager
    async def collecting(self) -> AsyncIterator[None]:
        """Keep inside the block; what is left at its end is written, or counted as lost."""
        tasks = [
            asyncio.create_task(self._pack_forever(), name="explain-packing"),
            asyncio.create_task(self._write_forever(), name="explain-writing"),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._last_words()

    async def _pack_forever(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            if self._options.reads:
                self._sample()
            try:
                await self.pack()
            except Exception:  # noqa: BLE001 - the next second is kept; the traceback is in the log
                _log.exception("explain: a second could not be packed")

    async def _write_forever(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS / 4)
            try:
                await self.write()
                if self._clock.monotonic() >= self._tidied_at + _TIDY_SECONDS:
                    await self.tidy()
            except CrossdockError as error:
                _log.warning("explain: nothing can be written, %d blocks wait: %s", len(self._blocks), error.detail)
                await asyncio.sleep(EVERY_SECONDS)
            except Exception:  # noqa: BLE001 - it goes on when it can; the traceback is in the log
                _log.exception("explain: nothing can be written, %d blocks wait", len(self._blocks))
                await asyncio.sleep(EVERY_SECONDS)

    async def _last_words(self) -> None:
        with contextlib.suppress(CrossdockError, TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await self.pack()
                await self.write()
        left = sum(block.kept for block in self._blocks) + len(self._gathered)
        if left:
            self._lost.add("record", amount=left)
            _log.error("%d requests of the last seconds cannot be explained: their records were not written", left)
