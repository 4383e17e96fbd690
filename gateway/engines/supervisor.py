"""Starts the engines in order, watches them, starts again what dies, and stops them in reverse order.

Three ways out, all clean: `stop`; the death of this process, on which the kernel asks each engine to end (Linux);
and the next `start` in the same folder, which ends what outlived its supervisor, known by pid and start mark.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final

from gateway.engines.engine import ALL, Engine, EngineStatus, EngineUrls, Site
from gateway.engines.nats import Nats
from gateway.engines.ports import listener, port_is_free
from gateway.engines.postgres import Postgres
from gateway.engines.process import Account, Child, log_tail, service_account, spawn, strays
from gateway.engines.state import Folder
from gateway.engines.valkey import Valkey
from gateway.kernel.errors import CrossdockError, Misconfigured, Rejected, Unavailable

_KINDS: Final[dict[str, type[Engine]]] = {"postgres": Postgres, "nats": Nats, "valkey": Valkey}
_RECOVERY_LIMIT: Final = 3600.0
"""Seconds. Replaying hours of WAL takes minutes; an engine that is silent for an hour is not recovering."""
_PROGRESS_EVERY: Final = 3.0
_STRAY_PATIENCE: Final = 20.0
_WATCH_EVERY: Final = 0.25
_PORT_TRIES: Final = 5
_SLOWEST_REVIVAL: Final = 15.0
_STEADY_AFTER: Final = 30.0


class Engines:
    """The engines of one folder. `async with Engines(folder) as urls:` starts and stops them.

    `progress` is called with a line for people whenever something takes time or happens. Start them on the main
    thread: the kernel ties an engine's life to the thread that started it.
    """

    def __init__(
        self, folder: Path, *, only: Collection[str] = ALL, progress: Callable[[str], None] | None = None
    ) -> None:
        unknown = set(only) - set(ALL)
        if unknown:
            raise Misconfigured(f"no engine is called {', '.join(sorted(unknown))}: there are {', '.join(ALL)}")
        self._folder = Folder(folder)
        self._names = tuple(name for name in ALL if name in only)
        self._progress = progress or (lambda _line: None)
        self._account: Account | None = None
        self._children: dict[str, Child] = {}
        self._ports: dict[str, int] = {}
        self._down_on_purpose: set[str] = set()
        self._busy = {name: asyncio.Lock() for name in self._names}
        self._watchers: list[asyncio.Task[None]] = []

    # --- all of them -----------------------------------------------------------------------------------------------

    async def start(self) -> EngineUrls:
        """Starts the engines and waits until all answer; where they do. Raises `Misconfigured` saying what to do."""
        self._folder.claim()
        try:
            self._account = service_account(self._folder.path)
            for name in self._names:
                async with self._busy[name]:
                    await self._raise(name)
        except BaseException:
            await self.stop()
            raise
        self._watchers = [asyncio.create_task(self._watch(name)) for name in self._names]
        return self.urls

    @property
    def urls(self) -> EngineUrls:
        """Where the started engines answer."""
        return EngineUrls(**{name: self._engine(name).url for name in self._ports})

    async def stop(self) -> None:
        """Stops what runs, last started first, and frees the folder. Safe to call twice."""
        for watcher in self._watchers:
            watcher.cancel()
        self._watchers.clear()
        for name in reversed(self._names):
            async with self._busy[name]:
                await self._lower(name)
        self._folder.release()

    async def __aenter__(self) -> EngineUrls:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def status(self) -> dict[str, EngineStatus]:
        """Each engine now, in starting order."""
        return {name: self._status(name) for name in self._names}

    def _status(self, name: str) -> EngineStatus:
        child = self._children.get(name)
        up = child is not None and child.exit_status is None
        return EngineStatus(
            name=name,
            port=self._ports.get(name, 0),
            pid=child.identity.pid if child and up else None,
            uptime=time.monotonic() - child.started if child and up else None,
            folder=self._folder.path / name,
        )

    # --- one of them, for plays and fault tests --------------------------------------------------------------------

    async def kill(self, name: str) -> None:
        """SIGKILL, by its own pid. It stays down until `restart`."""
        async with self._lock_of(name):
            self._down_on_purpose.add(name)
            if name in self._children:
                await self._children[name].kill()

    async def restart(self, name: str) -> None:
        """Stops it cleanly if it runs, and starts it again with its data, on its port."""
        async with self._lock_of(name):
            await self._lower(name)
            await self._raise(name)
            self._down_on_purpose.discard(name)

    async def wipe(self, name: str) -> None:
        """Kills it, deletes its data and, if it ran, starts it again empty. Never the record: not PostgreSQL."""
        async with self._lock_of(name):
            if name == "postgres":
                raise Rejected("PostgreSQL holds the record and is not wiped", code="engines.record_not_wiped")
            ran = self._status(name).pid is not None
            if name in self._children:
                await self._children[name].kill()
            with suppress(FileNotFoundError):
                shutil.rmtree(self._folder.path / name)
            if ran:
                await self._raise(name)

    def _lock_of(self, name: str) -> asyncio.Lock:
        if name not in self._busy:
            raise Rejected(f"{name} is not among the engines here: {', '.join(self._names)}", code="engines.unknown")
        return self._busy[name]

    # --- up --------------------------------------------------------------------------------------------------------

    def _engine(self, name: str) -> Engine:
        return _KINDS[name](
            Site(
                data=self._folder.path / name,
                log=self._folder.log(name),
                secret=self._folder.secret,
                port=self._ports[name],
                account=self._account,
                remember=self._folder.set_note,
                recall=self._folder.note,
                progress=self._tell,
            )
        )

    async def _raise(self, name: str) -> None:
        self._ports[name], chosen_now = self._folder.port(name)
        await self._take_over(name)
        await self._wait_for_strays(name)
        self._folder.data(name, self._account)
        for _ in range(_PORT_TRIES):
            engine = self._engine(name)
            await engine.prepare()
            if port_is_free(self._ports[name]) and await self._launch(name, engine, may_move=chosen_now):
                return
            if not chosen_now:
                break
            self._ports[name] = self._folder.new_port(name)
        raise self._port_taken(name)

    async def _launch(self, name: str, engine: Engine, *, may_move: bool) -> bool:
        """Starts it and waits until it answers. False when another process was faster to take a new port."""
        data, log = self._folder.path / name, self._folder.log(name)
        logged = log.stat().st_size
        dies_by = engine.endings[0][0]
        child = spawn(engine.command(), folder=data, log=log, account=self._account, dies_by=dies_by)
        self._children[name] = child
        self._folder.record(name, child.identity)
        began = time.monotonic()
        told = began
        while child.exit_status is None:
            if await engine.ready():
                self._tell(f"{engine.title}: ready on port {self._ports[name]}, process {child.identity.pid}")
                return True
            if time.monotonic() - told > _PROGRESS_EVERY:
                told = time.monotonic()
                self._tell(f"{engine.title}: starting for {told - began:.0f} s: {_last_line(log, logged)}")
            if time.monotonic() - began > _RECOVERY_LIMIT:
                raise Unavailable(f"{engine.title} has not answered for an hour: see {log}", code="engines.silent")
            await asyncio.sleep(0.05)
        if not port_is_free(self._ports[name]):
            if may_move:
                return False
            raise self._port_taken(name)
        raise Misconfigured(
            f"{engine.title} ended while starting (status {child.exit_status}). The end of {log}:\n"
            f"{log_tail(log, logged)}",
            code="engines.start_failed",
        )

    def _port_taken(self, name: str) -> Misconfigured:
        port = self._ports[name]
        return Misconfigured(
            f"port {port} of {_KINDS[name].title} is taken by {listener(port)}: stop that, or delete "
            f"{self._folder.path / 'state.json'} to have new ports chosen",
            code="engines.port_taken",
        )

    async def _take_over(self, name: str) -> None:
        """Ends the process of an earlier supervisor, so that ours can own the data."""
        left = self._folder.started(name)
        if left is None:
            return
        title = _KINDS[name].title
        self._tell(f"{title}: ending process {left.pid}, left by a supervisor that died")
        try:
            for number, patience in (*_KINDS[name].endings, (signal.SIGKILL, 10.0)):
                left.signal(number)
                deadline = time.monotonic() + patience
                while left.alive and time.monotonic() < deadline:  # noqa: ASYNC110 - a stranger's end is no event
                    await asyncio.sleep(0.05)
        except PermissionError as error:
            raise self._stale(name, left.pid) from error
        if left.alive:
            raise self._stale(name, left.pid)

    async def _wait_for_strays(self, name: str) -> None:
        """Waits for the helpers of a killed engine to end; refuses when something stays."""
        data = self._folder.path / name
        deadline = time.monotonic() + _STRAY_PATIENCE
        while data.exists() and (found := strays(data, _KINDS[name].program)):
            if time.monotonic() > deadline:
                raise self._stale(name, found[0])
            await asyncio.sleep(0.1)

    def _stale(self, name: str, pid: int) -> Misconfigured:
        kind = _KINDS[name]
        return Misconfigured(
            f"process {pid} ({kind.program}) still works in {self._folder.path / name} and was not started by this "
            f"supervisor: stop it (kill -{kind.endings[0][0].name[3:]} {pid}) and start again",
            code="engines.stale_process",
        )

    # --- watching and down -----------------------------------------------------------------------------------------

    async def _watch(self, name: str) -> None:
        """Starts an engine again when it dies without being told to; more slowly while that does not help."""
        pause, revived = _WATCH_EVERY, -_STEADY_AFTER
        while True:
            await asyncio.sleep(_WATCH_EVERY)
            child = self._children.get(name)
            if child is None or child.exit_status is None or name in self._down_on_purpose:
                continue
            steady = time.monotonic() - revived > _STEADY_AFTER
            pause = _WATCH_EVERY if steady else min(pause * 2, _SLOWEST_REVIVAL)
            await asyncio.sleep(pause)
            async with self._busy[name]:
                if self._children.get(name) is child and name not in self._down_on_purpose:
                    await self._revive(name, child)
                    revived = time.monotonic()

    async def _revive(self, name: str, child: Child) -> None:
        title = _KINDS[name].title
        self._tell(f"{title}: process {child.identity.pid} ended (status {child.exit_status}); starting it again")
        try:
            await self._raise(name)
        except (CrossdockError, OSError) as error:
            self._tell(f"{title}: {error}")

    def _tell(self, line: str) -> None:
        # A closed terminal must not keep engines from being stopped.
        with suppress(OSError, ValueError):
            self._progress(line)

    async def _lower(self, name: str) -> None:
        child = self._children.get(name)
        if child is None:
            return
        if child.exit_status is None:
            self._tell(f"{_KINDS[name].title}: stopping")
        await child.end(_KINDS[name].endings)
        del self._children[name]
        self._folder.record(name, None)


def _last_line(log: Path, since: int) -> str:
    return (log_tail(log, since).splitlines() or ["no word yet"])[-1]
