"""Starts what is measured as a process of its own, waits until it answers, stops it; and tells on what machine."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
_START_SECONDS: Final = 180
_STOP_SECONDS: Final = 20
_OPTIMISING: Final = ("--enable-optimizations", "--with-lto")


@contextmanager
def running(
    command: Sequence[str], *, port: int, log: Path, core: int | None = None, folder: Path = ROOT, **environment: str
) -> Iterator[int]:
    """A server on `port`, with all its threads and children on `core` if one is given; gives its process id.

    `folder` is where it stands, `environment` what its variables have beside ours. Output goes to `log`. A
    PYTHONPATH of our own goes first: that of a compiled door, say.
    """
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(ROOT))))
    variables = {**os.environ, "PYTHONPATH": path, **environment}
    with log.open("wb") as output:
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, allowed if core is None else {core})  # of this thread: what it starts inherits it
        try:
            process = subprocess.Popen(command, env=variables, stdout=output, stderr=output, cwd=folder)
        finally:
            os.sched_setaffinity(0, allowed)
    try:
        _await(process, port, log)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    ends = time.monotonic() + _START_SECONDS
    while not _listens(port):
        if process.poll() is not None or time.monotonic() > ends:
            raise SystemExit(f"{process.args!r} did not start: {log.read_text(encoding='utf-8', errors='replace')}")
        time.sleep(0.1)


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


def children_of(pid: int) -> list[int]:
    """The process ids of what `pid` started."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in found.split()]


def seconds_of_children(pid: int) -> dict[int, float]:
    """`processor_seconds` of each child; one that ends meanwhile (a vacuum of PostgreSQL) is left out."""
    found: dict[int, float] = {}
    for child in children_of(pid):
        with suppress(OSError):
            found[child] = processor_seconds(child)
    return found


def processor_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def own_and_ended_seconds(pid: int) -> float:
    """Of a process, and of the children that it had and waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def seconds_of_family(pid: int) -> float:
    """Of a process, the children that it has, and those that it had and waited for."""
    return own_and_ended_seconds(pid) + sum(seconds_of_children(pid).values())


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def machine() -> str:
    """Versions, cores and load, in one line."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("granian", "litestar", "fastapi", "msgspec", "pyjwt"))
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    cores = f"{os.cpu_count()} cores of {model}; load average {os.getloadavg()[0]:.1f}"
    built = (sysconfig.get_config_var("CONFIG_ARGS") or "").replace("'", "").split()
    how = " ".join(flag for flag in _OPTIMISING if flag in built) or "neither " + " nor ".join(_OPTIMISING)
    return f"Python {platform.python_version()} (configured with {how}), {libraries}; {cores}"
