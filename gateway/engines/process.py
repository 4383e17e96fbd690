"""Processes: told apart by pid and start mark, started so that they die with us, ended step by step.

A pid alone proves nothing, since the kernel hands it out again; with the start mark beside it, it does.
Engines are never found or ended by name. Each runs in a session of its own, so that Ctrl-C in a terminal reaches
the supervisor only, which then ends them in order.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from gateway.engines import launch
from gateway.kernel.errors import Misconfigured

_LINUX: Final = sys.platform == "linux"
_CTYPE: Final = "C.UTF-8" if _LINUX else "UTF-8"
_LOG_TAIL: Final = 4096
_LOG_LIMIT: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine, by number."""

    uid: int
    gid: int
    name: str


def service_account(folder: Path) -> Account | None:
    """Who engines run as: whoever runs us, but never root, which PostgreSQL refuses.

    Root hands over to the owner of `folder` when that is someone else, else to the account ``crossdock`` where the
    machine has one, else to ``nobody``.
    """
    if os.geteuid() != 0:
        return None
    owner = folder.stat().st_uid
    for who in (owner, "crossdock", "nobody"):
        try:
            entry = pwd.getpwuid(who) if isinstance(who, int) else pwd.getpwnam(who)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)
    raise Misconfigured(
        "PostgreSQL refuses to run as root and this machine has neither a user 'crossdock' nor 'nobody': "
        "run as an ordinary user, or add one with 'useradd --system crossdock'",
        code="engines.no_account",
    )


@dataclass(frozen=True, slots=True)
class Identity:
    """A process and no other: its pid, and a mark of the instant it started at."""

    pid: int
    mark: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The process that has `pid` now; None when there is none, or only its unreaped remains."""
        mark = _linux_mark(pid) if _LINUX else _portable_mark(pid)
        return None if mark is None else cls(pid, mark)

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return Identity.of(self.pid) == self

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal, if the process still is the one meant. Raises `PermissionError` when we may not."""
        if self.alive:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return


def _linux_mark(pid: int) -> str | None:
    # psutil derives times from the wall clock, which steps; ticks since a boot that has a name do not (proc(5)).
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
    return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"


def _portable_mark(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.Error:
        return None


class Child:
    """An engine that this process started."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self.started = time.monotonic()
        identity = Identity.of(popen.pid)
        self.identity = identity or Identity(popen.pid, "ended")

    @property
    def exit_status(self) -> int | None:
        """None while it runs; negative is the signal that ended it."""
        return self._popen.poll()

    async def ended(self, within: float) -> bool:
        """Waits up to `within` seconds for its end."""
        deadline = time.monotonic() + within
        while self.exit_status is None:
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(0.02)
        return True

    async def end(self, endings: Sequence[tuple[signal.Signals, float]]) -> None:
        """Ends it: each signal in turn, with its patience in seconds, then SIGKILL."""
        for number, patience in endings:
            if self.exit_status is None:
                self._popen.send_signal(number)
            if await self.ended(patience):
                return
        await self.kill()

    async def kill(self) -> None:
        """SIGKILL, by its own pid, and waits until it is gone."""
        self._popen.kill()
        await self._gone()

    async def kill_session(self) -> None:
        """SIGKILL, for it and all that it started in its session, and waits until it is gone."""
        if self.exit_status is None:
            with suppress(ProcessLookupError):
                os.killpg(self._popen.pid, signal.SIGKILL)
        await self._gone()

    async def _gone(self) -> None:
        while not await self.ended(1.0):
            pass


def spawn(
    command: Sequence[str], *, folder: Path, log: Path, account: Account | None, dies_by: signal.Signals
) -> Child:
    """Starts `command` in `folder`, its output appended to `log`.

    When our thread ends, however it ends, the kernel sends the child `dies_by` (Linux). So this is called on a
    thread that lives as long as the engine should: the main one.
    """
    with _log_end(log) as output:
        return Child(_popen(command, folder, output, subprocess.DEVNULL, account, dies_by))


async def run(command: Sequence[str], *, folder: Path, log: Path, account: Account | None, given: bytes = b"") -> int:
    """Runs `command` to its end in `folder` with `given` as its input, output appended to `log`; its exit status.

    `given` is at most a few KB: it goes into the pipe in one piece.
    """
    with _log_end(log) as output:
        popen = _popen(command, folder, output, subprocess.PIPE, account, signal.SIGTERM)
    child = Child(popen)
    try:
        if popen.stdin is not None:
            with popen.stdin as pipe:
                pipe.write(given)
    except BrokenPipeError:
        pass  # it ended without reading: its exit status tells why
    try:
        while not await child.ended(1.0):
            pass
    finally:
        if child.exit_status is None:
            popen.kill()
            popen.wait()
    return child.exit_status or 0


def _popen(
    command: Sequence[str], folder: Path, output: int, given: int, account: Account | None, dies_by: signal.Signals
) -> subprocess.Popen[bytes]:
    uid, gid = (account.uid, account.gid) if account else (-1, -1)
    before = [sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), str(int(dies_by)), str(uid), str(gid)]
    # Nothing of our environment: it may hold secrets, and PGDATA and its like would change what engines do.
    # The character set of paths is UTF-8: Python reads its own .pth files by it, which name the folder of a clone.
    environment = {"PATH": os.defpath, "LANG": "C", "LC_CTYPE": _CTYPE, "TZ": "UTC"}
    return subprocess.Popen(  # noqa: S603 - our own arguments, no shell
        [*before, *command],
        cwd=folder,
        stdin=given,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )


@contextmanager
def _log_end(log: Path) -> Iterator[int]:
    """The log open at its end, mode 0600; a long one is first moved aside, and one old one is kept."""
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_suffix(".old.log"))
    number = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield number
    finally:
        os.close(number)


def own_folder(folder: Path) -> str:
    """How a process that runs in `folder` (its working directory) should name it.

    On Linux by the kernel's link: it is short however deep the folder is (PostgreSQL takes paths up to 1024 bytes),
    and it leads there even when the account may not walk the folders above, as under root's private home (proc(5)).
    """
    return "/proc/self/cwd" if _LINUX else str(folder)


def log_tail(log: Path, since: int = 0) -> str:
    """The end of what was logged past byte `since`, at most a screenful."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(min(since, size), size - _LOG_TAIL))
            return file.read().decode(errors="replace").strip()
    except OSError:
        return ""


def strays(folder: Path, program: str) -> list[int]:
    """Pids of processes of `program` that work in `folder`: what a killed engine left behind, or a stranger."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.name() == program and Path(process.cwd()).samefile(folder):
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found
