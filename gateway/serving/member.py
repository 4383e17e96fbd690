"""One worker as its server sees it."""

from __future__ import annotations

import logging
import socket
import time
from enum import StrEnum
from typing import Final

import msgspec
from granian.server.mp import WorkerProcess
from msgspec import Struct

from gateway.serving.worker import BUSY, METRICS, READY, Busy
from gateway.telemetry.counters import Family
from gateway.telemetry.gathered import Gathered
from gateway.telemetry.line import Line

_log: Final = logging.getLogger(__name__)
# What answers no sooner is busy with something that blocks it; it is asked again.
ANSWER_SECONDS: Final = 1.0


class State(StrEnum):
    """Where a worker is in its life."""

    STARTING = "starting"
    SERVING = "serving"
    RETIRING = "retiring"
    ENDED = "ended"


class Shown(Struct, frozen=True, kw_only=True):
    """A worker as others are told: its slot (from 1), how many were in that slot before, what it is doing."""

    worker: int
    number: int
    pid: int | None
    state: State
    started_at: float


class Member:
    """A process in a slot, and the line to it. `number` counts the processes that the slot has had."""

    def __init__(self, slot: int, number: int, process: WorkerProcess, ours: socket.socket) -> None:
        self.slot = slot
        self.number = number
        self.process = process
        self.state = State.STARTING
        self.started_at = time.time()
        self.begun = time.monotonic()
        self._line = Line(ours)

    @property
    def name(self) -> str:
        """Slot, from 1, and number."""
        return f"{self.slot + 1}.{self.number}"

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return bool(self.process.inner.is_alive())

    @property
    def shown(self) -> Shown:
        """What others are told."""
        return Shown(
            worker=self.slot + 1,
            number=self.number,
            pid=self.process.inner.pid,
            state=self.state,
            started_at=self.started_at,
        )

    def ask(self, question: str) -> bytes | None:
        """The answer as JSON; None when there is none."""
        return self._line.ask(question, seconds=ANSWER_SECONDS) if self.state is not State.ENDED else None

    def is_ready(self) -> bool:
        """Whether it can serve: it has started, and found everything that it needs."""
        ready = self.ask(READY) is not None
        if ready and self.state is State.STARTING:
            self.state = State.SERVING
        return ready

    def busy(self) -> Busy | None:
        """What it still has to do; None when it does not say."""
        told = self.ask(BUSY)
        return None if told is None else msgspec.json.decode(told, type=Busy)

    def gather(self, into: Gathered) -> bool:
        """Take its figures; False when it does not tell them."""
        told = self.ask(METRICS)
        try:
            families = None if told is None else msgspec.json.decode(told, type=list[Family])
        except msgspec.MsgspecError:
            _log.exception("worker %s tells figures that cannot be read", self.name)
            return False
        if families is None:
            return False
        if self.state is State.STARTING:
            self.state = State.SERVING
        into.tell(self.name, families)
        return True

    def end(self, into: Gathered, *, kill_after: float) -> None:
        """Make sure that the process is gone; keep what it counted."""
        if self.alive:
            self.gather(into)
            self.process.terminate()  # type: ignore[no-untyped-call]
            self.process.inner.join(kill_after)
            if self.alive:
                self.process.kill()  # type: ignore[no-untyped-call]
                self.process.inner.join()
        self.state = State.ENDED
        self._line.close()
        into.end(self.name)
