"""What `crossdock workers` does: tells who works on which shape of turns, and asks one of them to end.

Each function returns the command's exit status.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from gateway.app import administer
from gateway.canonical.capabilities import Connection
from gateway.durable.workers import LiveWorker, ShapeLine, WorkerLine, list_shapes, list_workers
from gateway.durable.workers import drain as drain_worker
from gateway.governance import print_json, print_table
from gateway.kernel.ids import new_id
from gateway.kernel.keyring import KeyRing
from gateway.kernel.shell import shell_actor
from gateway.settings import Settings

_OF_WORKERS: Final = ("SLOT", "HOST", "PID", "RELEASE", "SHAPE", "SINCE", "STANDING", "RUNNING", "OLDEST")
_OF_SHAPES: Final = ("SHAPE", "WORKERS", "SUCCESSORS", "WAITING", "DELAYED", "RUNNING", "OLDEST")


def show(settings: Settings, *, as_json: bool) -> int:
    """Print live workers and the turns of each shape; 1 when some turns have nobody to run them."""

    async def work(connection: Connection, _: KeyRing) -> tuple[Sequence[WorkerLine], Sequence[ShapeLine]]:
        return await list_workers(connection), await list_shapes(connection)

    workers, shapes = asyncio.run(administer(settings, work))
    if as_json:
        told = [{**msgspec.to_builtins(each), "left": each.is_left} for each in shapes]
        print_json({"workers": msgspec.to_builtins(workers), "shapes": told})
    else:
        print_table(_OF_WORKERS, [_worker_row(each) for each in workers])
        print_table(_OF_SHAPES, [_shape_row(each) for each in shapes])
    left = [each for each in shapes if each.is_left]
    for each in left:
        sys.stderr.write(
            f"crossdock: nobody runs the turns of shape {each.shape}: start a worker of a release that has it, or "
            "of one that succeeds it\n"
        )
    return 1 if left else 0


def drain(settings: Settings, slot: int, *, as_json: bool) -> int:
    """Ask the worker of `slot` to end; it does so by itself."""

    async def work(connection: Connection, _: KeyRing) -> LiveWorker:
        return await drain_worker(
            connection, slot, tenant=settings.tenant, actor=shell_actor(), correlation_id=new_id("cor")
        )

    found = asyncio.run(administer(settings, work))
    if as_json:
        print_json({"slot": slot, "draining": True, "shape": found.shape})
    else:
        sys.stdout.write(
            f"slot {slot} drains: it ends at once where others run shape {found.shape}, else when no turn of it is "
            "left; `crossdock workers list` tells\n"
        )
    return 0


def _worker_row(line: WorkerLine) -> tuple[str, ...]:
    worker = line.worker
    standing = "draining" if worker.draining else str(line.standing)
    return (
        str(worker.slot), worker.host, str(worker.pid or ""), worker.release, worker.shape, _told(worker.since),
        standing, str(line.running), _told(line.oldest),
    )  # fmt: skip


def _shape_row(line: ShapeLine) -> tuple[str, ...]:
    figures = (line.workers, line.successors, line.waiting, line.delayed, line.running)
    return line.shape or "(none)", *map(str, figures), _told(line.oldest)


def _told(instant: datetime | None) -> str:
    return "" if instant is None else instant.isoformat(timespec="seconds")
