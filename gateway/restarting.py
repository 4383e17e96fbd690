"""What `crossdock gateway restart` does: a rolling restart of the gateway on this host, watched to its end.

It finds the server's process at the port of the figures and sends it SIGHUP, which the kernel allows to who may.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Final

import httpx
import msgspec

from gateway.kernel.errors import Misconfigured, Unavailable
from gateway.serving.member import State
from gateway.serving.status import Status
from gateway.settings import Settings

_LOOK_SECONDS: Final = 0.2
_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is listened at, not what listens


def restart(settings: Settings, *, seconds: float, as_json: bool, progress: Callable[[str], None]) -> int:
    """Replace every worker; 1 when one could not be, or when it took longer than `seconds`."""
    before = _status(settings)
    if before.host != socket.gethostname():
        raise Misconfigured(f"the gateway runs on {before.host}: restart it there")
    try:
        os.kill(before.pid, signal.SIGHUP)
    except OSError as error:
        raise Misconfigured(f"process {before.pid} cannot be told to restart: {error.strerror}") from error
    status = _watched(settings, before, seconds=seconds, progress=progress)
    done = status.roll.number > before.roll.number and status.roll.state == "done"
    if as_json:
        sys.stdout.write(msgspec.json.encode({"restarted": done, **msgspec.structs.asdict(status)}).decode() + "\n")
        return 0 if done else 1
    old = {worker.worker: worker.pid for worker in before.workers if worker.state is not State.RETIRING}
    for worker in status.workers:
        sys.stdout.write(f"worker {worker.worker}: {worker.state}, process {worker.pid}, was {old[worker.worker]}\n")
    if not done:
        sys.stderr.write(f"crossdock: {status.roll.detail or f'it is not over after {seconds:g} s'}\n")
    return 0 if done else 1


def _watched(settings: Settings, before: Status, *, seconds: float, progress: Callable[[str], None]) -> Status:
    end, told = time.monotonic() + seconds, ""
    while True:
        time.sleep(_LOOK_SECONDS)
        status = _status(settings)
        if time.monotonic() >= end or (status.roll.number > before.roll.number and status.roll.state != "rolling"):
            return status
        line = ", ".join(f"worker {each.worker} ({each.pid}) {each.state}" for each in status.workers)
        if line != told:
            progress(line)
            told = line


def _status(settings: Settings) -> Status:
    host, port = settings.metrics.host, settings.metrics.port
    if port is None:
        raise Misconfigured(
            "metrics.port is not set, so nobody tells how a restart goes: set it, or send SIGHUP yourself"
        )
    host = _ANYWHERE.get(host, host)
    url = f"http://[{host}]:{port}/workers" if ":" in host else f"http://{host}:{port}/workers"
    try:
        answer = httpx.get(url, trust_env=False, timeout=10)
        return msgspec.json.decode(answer.raise_for_status().content, type=Status)
    except (httpx.HTTPError, msgspec.MsgspecError) as error:
        raise Unavailable(
            f"no gateway answers at {url}: is it running? ({error})", code="gateway.unreachable"
        ) from error
