"""The server of the gateway's workers: granian's processes, on listening sockets that outlive them all.

- SIGTERM: every worker is unready for `pause` seconds, so that balancers see it and clients go elsewhere; then event
  streams end, what is in flight may finish for `drain` seconds, and the workers stop.
- SIGHUP: workers are replaced one by one, and nobody notices. The new one is started and asked whether it is ready;
  then the old one accepts no more, ends its event streams, says with every answer that its connection is the last, and
  stops when nobody is connected to it any more, or after `drain` seconds. A new one that does not become ready is given
  up, and the old one stays.
- A worker that dies is replaced; the others take what comes meanwhile.

Each slot of workers has a socket that outlives them (`slots.py`): who waits to be accepted when a worker goes is
accepted by the next one in its slot, and new connections go to slots whose worker answers.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

import msgspec
from granian._granian import SocketHolder
from granian._internal import load_target
from granian.server.mp import MPServer, WorkerProcess

from gateway.serving.listener import MetricsListener, bound
from gateway.serving.member import Member, State
from gateway.serving.slots import Slots
from gateway.serving.status import Roll, Status, own_families
from gateway.serving.wake import Wake
from gateway.serving.worker import DRAIN, END_EVENTS, END_STREAMS, RETIRE
from gateway.telemetry.gathered import Gathered

_log: Final = logging.getLogger(__name__)
_GATHER_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.05
_LONG_LIFE_SECONDS: Final = 10.0
_LONGEST_BACKOFF: Final = 10.0
_BACKOFF: Final = 0.2
OWN: Final = "server"


class GatewayServer(MPServer):
    """`target` (``module:function``) makes the ASGI application, from the worker's end of its line to this server.

    Times are seconds. `metrics` is the address of the figures, None for none.
    """

    def __init__(
        self,
        target: str,
        *,
        pause: float,
        drain: float,
        metrics: tuple[str, int] | None = None,
        ready: float = 60.0,
        **options: Any,
    ) -> None:
        super().__init__(target, **options)
        self._pause = pause
        self._drain = drain
        self._ready = ready
        self._kill_after = self.workers_kill_timeout or 0
        self._metrics_address = metrics
        self._figures: MetricsListener | None = None
        self._gathered = Gathered()
        self._members: dict[int, Member] = {}
        self._numbers: dict[int, int] = {}
        self._backoff: dict[int, tuple[float, float]] = {}  # by slot: how long, and until when
        self._lines: dict[int, tuple[socket.socket, socket.socket]] = {}
        self._roll = Roll()
        self._died = 0
        self._ending = threading.Event()
        self.main_loop_interrupt = Wake()  # type: ignore[assignment]

    def serve(self, *_: object, **__: object) -> None:
        """Serve until a signal."""
        super().serve(target_loader=load_target)

    # --- what granian asks for ----------------------------------------------------------------------------------------

    def _init_shared_socket(self) -> None:
        self._slots = Slots(self.bind_addr, self.bind_port, self.backlog, count=self.workers)
        if self._metrics_address is not None:
            listening = bound(*self._metrics_address, 16)
            self._figures = MetricsListener(
                listening, self._gathered.registry, refresh=self._gather, workers=self._as_json
            )

    def _spawn_worker(self, idx: int, target: Any, callback_loader: Any) -> WorkerProcess:  # type: ignore[override]
        ours, theirs = socket.socketpair()
        self._lines[idx] = ours, theirs
        self._sso = self._slots.of(idx)
        self._shd = SocketHolder(self._sso.fileno(), False, self.backlog)  # type: ignore[assignment, call-arg]
        worker: WorkerProcess = super()._spawn_worker(idx, target, partial(_application, callback_loader, theirs))
        return worker

    def _spawn_workers(self, spawn_target: Any, target_loader: Any) -> None:
        self.main_loop_interrupt.heed_signals()  # type: ignore[attr-defined]
        self._start = partial(self._started, spawn_target, target_loader)
        for slot in range(self.workers):
            self._put_in_place(self._start(slot))
        threading.Thread(target=self._keep_gathering, name="gathering", daemon=True).start()
        if self._figures is not None:
            self._figures.start()

    def _serve_loop(self, *_: object) -> None:
        try:
            self._serve_until_signal()
        except Exception:  # noqa: BLE001  # whatever it is
            # Granian's threads watch the workers and would keep a server alive that heeds no signal any more.
            _log.exception("the server failed: its workers stop, and it exits with 1")
            self.shutdown(1)  # type: ignore[no-untyped-call]

    def _serve_until_signal(self) -> None:
        while not self.interrupt_signal:
            self.main_loop_interrupt.wait(self._until_next())
            self.main_loop_interrupt.clear()
            self.interrupt_children.clear()
            if not self._raise_dead():
                return
            if self.reload_signal:
                self.reload_signal = False
                self._replace_all()

    def _stop_workers(self) -> None:
        members = list(self._members.values())
        for member in members:
            member.ask(DRAIN)
        self._wait(lambda: False, self._pause)
        for member in members:
            member.ask(RETIRE)
        self._wait(lambda: sum(_still_serving(member) for member in members) == 0, self._drain)
        for member in members:
            member.ask(END_STREAMS)
            if member.alive:
                member.process.terminate()  # type: ignore[no-untyped-call]
        for member in members:
            member.end(self._gathered, kill_after=self._kill_after)
        self._ending.set()
        if self._figures is not None:
            self._figures.close()

    # --- workers come and go ------------------------------------------------------------------------------------------

    def _started(self, spawn_target: Any, target_loader: Any, slot: int) -> Member:
        process = self._spawn_worker(slot, spawn_target, target_loader)
        ours, theirs = self._lines.pop(slot)
        process.start()  # type: ignore[no-untyped-call]
        theirs.close()
        self._numbers[slot] = self._numbers.get(slot, 0) + 1
        return Member(slot, self._numbers[slot], process, ours)

    def _put_in_place(self, member: Member) -> None:
        self._members[member.slot] = member
        self.wrks = [self._members[slot].process for slot in sorted(self._members)]

    def _raise_dead(self) -> bool:
        """Start again what has died, less and less often what dies at once; False when nothing can ever start."""
        for slot, member in list(self._members.items()):
            if member.alive:
                continue
            if member.state is not State.ENDED:
                if _cannot_start(member) and all(each.state is State.STARTING for each in self._members.values()):
                    self.interrupt_children.append(slot)
                    return False
                self._died += 1
                self._slots.deal_to([each.slot for each in self._members.values() if each.alive])
                self._backoff[slot] = self._next_try(member)
                member.end(self._gathered, kill_after=0)
            if time.monotonic() >= self._backoff[slot][1]:
                self._put_in_place(self._start(slot))
        return True

    def _next_try(self, member: Member) -> tuple[float, float]:
        now = time.monotonic()
        before = self._backoff.get(member.slot, (0.0, 0.0))[0]
        lived_long = now - member.begun > _LONG_LIFE_SECONDS
        pause = 0.0 if lived_long else min(max(before * 2, _BACKOFF), _LONGEST_BACKOFF)
        return pause, now + pause

    def _until_next(self) -> float | None:
        due = [self._backoff[slot][1] for slot, member in self._members.items() if member.state is State.ENDED]
        return max(min(due) - time.monotonic(), 0.0) if due else None

    def _replace_all(self) -> None:
        self._roll = Roll(number=self._roll.number + 1, state="rolling")
        for slot in range(self.workers):
            trouble = self._replace(slot)
            if trouble:
                self._roll = Roll(number=self._roll.number, state="failed", detail=trouble)
                return
        self._roll = Roll(number=self._roll.number, state="done")

    def _replace(self, slot: int) -> str:
        """Put a new worker in the place of the slot's; returns why it could not be, or nothing."""
        old, new = self._members[slot], self._start(slot)
        self._wait(lambda: not new.alive or new.is_ready(), self._ready)
        if self.interrupt_signal or new.state is not State.SERVING:
            new.end(self._gathered, kill_after=self._kill_after)
            return f"worker {slot + 1}: the new process was not ready within {self._ready:g} s; the old one serves on"
        self._put_in_place(new)
        self._retire(old)
        return ""

    def _retire(self, member: Member) -> None:
        member.state = State.RETIRING
        self._retiring = member
        if member.ask(RETIRE) is not None:
            self._wait(lambda: not _still_connected(member), self._drain)
            member.ask(END_STREAMS)
        member.end(self._gathered, kill_after=self._kill_after)
        self._retiring = None

    def _wait(self, fulfilled: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        stopping = self.interrupt_signal
        while time.monotonic() < end and not fulfilled() and self.interrupt_signal == stopping:
            time.sleep(_LOOK_SECONDS)

    # --- figures ------------------------------------------------------------------------------------------------------

    _retiring: Member | None = None

    def _everybody(self) -> list[Member]:
        retiring = [self._retiring] if self._retiring is not None else []
        return [*(self._members[slot] for slot in sorted(self._members)), *retiring]

    def _gather(self) -> None:
        members = self._everybody()
        answered = {member.name: member.gather(self._gathered) for member in members if member.state is not State.ENDED}
        self._slots.deal_to([each.slot for each in members if answered.get(each.name)])
        self._gathered.tell(OWN, own_families(members, answered, started=self._numbers, died=self._died))

    def _keep_gathering(self) -> None:
        while not self._ending.wait(_GATHER_SECONDS):
            with suppress(OSError):
                self._gather()

    def _as_json(self) -> bytes:
        workers = [each.shown for each in self._everybody()]
        status = Status(host=socket.gethostname(), pid=os.getpid(), roll=self._roll, workers=workers)
        return msgspec.json.encode(status)


def _application(load: Callable[[], Callable[[socket.socket], Any]], line: socket.socket) -> Any:
    return load()(line)


def _still_serving(member: Member) -> bool:
    """Whether it has requests in flight, but for streams of events, which end here."""
    member.ask(END_EVENTS)
    busy = member.busy()
    return busy is not None and busy.in_flight > 0


def _still_connected(member: Member) -> bool:
    """Whether anybody is connected to it; its streams of events end here."""
    member.ask(END_EVENTS)
    busy = member.busy()
    return busy is not None and busy.connections + busy.in_flight > 0


def _cannot_start(member: Member) -> bool:
    """Whether it has said so itself; one that was killed may well start next time."""
    status = member.process.inner.exitcode
    return member.state is State.STARTING and status is not None and status > 0
