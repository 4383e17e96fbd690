"""Everything `crossdock up` starts: engines, the demo's counterparts when asked, gateway and worker.

What runs is written to ``stack.json`` in the folder, so that another terminal's `crossdock play` finds it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

import httpx
import msgspec
from msgspec import Struct

from gateway.app import migrate_record
from gateway.engines.ports import Reservation, free_port, listener, serves
from gateway.engines.process import Child, Identity, log_tail, spawn
from gateway.engines.supervisor import Engines
from gateway.kernel.background import ended
from gateway.kernel.errors import Misconfigured
from gateway.plays.demo import Demo
from gateway.plays.second_unit import SecondUnit
from gateway.plays.settings_file import write_settings

_READY_SECONDS: Final = 60.0
_DRAIN_SECONDS: Final = 12.0
_RESTART_SECONDS: Final = 0.5
_MODULES: Final = {"gateway": "gateway.asgi", "worker": "gateway.worker", "console": "gateway.asgi"}
SERVICES: Final = tuple(_MODULES)


class Running(Struct, kw_only=True):
    """Where a started stack can be reached. Passwords and keys stay in the files that are named here."""

    folder: str
    supervisor: Identity
    gateway_url: str
    console_url: str
    settings: str
    demo: bool


def find_running(folder: Path) -> Running | None:
    """The stack that another process runs in `folder`, None when there is none alive."""
    try:
        running = msgspec.json.decode((folder / "stack.json").read_bytes(), type=Running)
    except (OSError, msgspec.DecodeError):
        return None
    return running if running.supervisor.alive else None


class Stack:
    """One stack in one folder. `start` and `stop` it, or use it as an async context manager."""

    def __init__(
        self,
        folder: Path,
        *,
        demo: bool,
        port: int | None = None,
        gateway_workers: int = 1,
        cache: Path | None = None,
        settings: Mapping[str, Any] | None = None,
        unit: SecondUnit | None = None,
        progress: Callable[[str], None],
    ) -> None:
        self.folder = folder.absolute()
        self.engines = Engines(self.folder / "engines", progress=progress)
        self.demo = Demo(self.folder, cache=cache, unit=unit, progress=progress) if demo else None
        self.settings_path = self.folder / "settings.toml"
        self._port = port
        self._settings = settings
        self._gateway_workers = gateway_workers
        self._progress = progress
        self._children: dict[str, Child] = {}
        self._down_on_purpose: set[str] = set()
        self._watcher: asyncio.Task[None] | None = None
        self.gateway_url = ""
        self.console_url = ""
        self._running: Running | None = None
        self._reserved: dict[str, Reservation] = {}

    @property
    def running(self) -> Running:
        """Where it can be reached, once started."""
        if self._running is None:
            raise Misconfigured("the stack is not started")
        return self._running

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> Running:
        """Start all of it and wait until the gateway is ready."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return await self._start()
        except OSError as error:
            await self.stop()
            raise Misconfigured(
                f"cannot use {error.filename or self.folder}: {error.strerror}. Make room, or give this user the "
                "folder, or choose another one with --folder"
            ) from error
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> Running:
        urls = await self.engines.start()
        gateway_port = self._choose_port("gateway", self._port or 8080)
        console_port = self._choose_port("console", gateway_port + 1)
        self.gateway_url = f"http://127.0.0.1:{gateway_port}"
        self.console_url = f"http://127.0.0.1:{console_port}"
        if self.demo is not None:
            await self.demo.start(self.gateway_url)
        self._progress("preparing the record")
        installation = await migrate_record(urls.postgres, progress=self._progress)
        write_settings(
            self.settings_path,
            secrets_folder=self.folder / "secrets",
            urls=urls,
            installation=installation,
            ports=(gateway_port, console_port),
            gateway_workers=self._gateway_workers,
            demo=self.demo,
            more=self._settings,
        )
        if self.demo is not None:
            await self.demo.seed(self.settings_path)
        self._free_reserved()
        for service in SERVICES:
            self._raise(service)
        await self._ready()
        if self.demo is not None:
            await self.demo.wait_for_stock(self.settings_path)
        self._watcher = asyncio.create_task(self._watch())
        return self._announce()

    def _announce(self) -> Running:
        own = Identity.of(os.getpid())
        if own is None:
            raise Misconfigured("this system does not tell processes apart by their start: use Linux")
        running = Running(
            folder=str(self.folder),
            supervisor=own,
            gateway_url=self.gateway_url,
            console_url=self.console_url,
            settings=str(self.settings_path),
            demo=self.demo is not None,
        )
        (self.folder / "stack.json").write_bytes(msgspec.json.encode(running))
        self._running = running
        return running

    async def stop(self) -> None:
        """Stop all of it: first what takes traffic, last the record. Safe to call twice."""
        if self._watcher is not None:
            await ended(self._watcher)
            self._watcher = None
        if self._running is not None:  # else the file is of another one, on whose account we were refused
            (self.folder / "stack.json").unlink(missing_ok=True)
            self._running = None
        self._free_reserved()
        for service in SERVICES:
            if service in self._children:
                self._progress(f"stopping the {service}")
                await self._children.pop(service).end([(signal.SIGTERM, _DRAIN_SECONDS)])
        if self.demo is not None:
            await self.demo.stop()
        await self.engines.stop()

    # --- for plays and fault tests ---------------------------------------------------------------------------------

    async def kill(self, name: str) -> None:
        """SIGKILL a service, an engine or a counterpart, by its own pid; it stays down until `restart`."""
        if name in SERVICES:
            self._down_on_purpose.add(name)
            await self._children[name].kill_session()
        elif self.demo is not None and name in self.demo.names:
            await self.demo.kill(name)
        else:
            await self.engines.kill(name)

    async def restart(self, name: str) -> None:
        """Start again what was killed, with the data it had."""
        if name in SERVICES:
            self._raise(name)
            self._down_on_purpose.discard(name)
            if name == "gateway":
                await self._ready()
        elif self.demo is not None and name in self.demo.names:
            await self.demo.restart(name)
        else:
            await self.engines.restart(name)

    async def wipe(self, name: str) -> None:
        """Delete an engine's data under way: the carrier's or the cache's, never the record's."""
        await self.engines.wipe(name)

    def _raise(self, service: str) -> None:
        command = [sys.executable, "-m", _MODULES[service], service, "--settings", str(self.settings_path)]
        log = self.folder / f"{service}.log"
        self._children[service] = spawn(command, folder=self.folder, log=log, account=None, dies_by=signal.SIGTERM)

    async def _ready(self) -> None:
        self._progress("waiting for the gateway")
        deadline = asyncio.get_running_loop().time() + _READY_SECONDS
        async with httpx.AsyncClient(trust_env=False) as client:
            while asyncio.get_running_loop().time() < deadline:
                for service in SERVICES:
                    self._refuse_dead(service)
                with suppress(httpx.HTTPError):
                    answer = await client.get(f"{self.gateway_url}/readyz")
                    if answer.status_code == httpx.codes.OK and self._is_ours():
                        return
                await asyncio.sleep(0.1)
        raise Misconfigured(
            f"the gateway was not ready within {_READY_SECONDS:.0f} s: see {self.folder / 'gateway.log'}"
        )

    def _is_ours(self) -> bool:
        """Whether it is our gateway that answers, and not a stranger on its port."""
        return serves(self._children["gateway"].identity.pid, int(self.gateway_url.rpartition(":")[2]))

    def _refuse_dead(self, service: str) -> None:
        status = self._children[service].exit_status
        if status is not None and service not in self._down_on_purpose:
            log = self.folder / f"{service}.log"
            raise Misconfigured(f"the {service} ended with status {status}; {log} ends with:\n{log_tail(log)}")

    async def _watch(self) -> None:
        """Raise again what died by itself."""
        while True:
            await asyncio.sleep(_RESTART_SECONDS)
            for service in SERVICES:
                if service not in self._down_on_purpose and self._children[service].exit_status is not None:
                    self._progress(f"the {service} ended; starting it again (see {service}.log)")
                    self._raise(service)

    def _choose_port(self, name: str, wanted: int) -> int:
        """The port kept from the last run, else the one wanted, else a free one (an explicit one must be free).

        It is held until the service is about to listen there.
        """
        kept = self.folder / f"{name}.port"
        port = int(kept.read_text(encoding="ascii")) if kept.exists() else wanted
        explicit = name == "gateway" and self._port is not None
        if explicit and self._port is not None:
            port = self._port
        try:
            self._reserved[name] = Reservation(port)
        except OSError as error:
            if explicit:
                raise Misconfigured(
                    f"port {port} is taken by {listener(port)}: give another one with --port"
                ) from error
            self._progress(f"port {port} is taken by {listener(port)}: the {name} moves to another one")
            port = free_port(set())
            self._reserved[name] = Reservation(port)
        kept.write_text(str(port), encoding="ascii")
        return port

    def _free_reserved(self) -> None:
        while self._reserved:
            self._reserved.popitem()[1].release()
