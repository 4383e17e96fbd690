"""A supervisor as a process of its own, to be interrupted and killed."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from gateway.engines.process import Identity

ROOT = Path(__file__).parents[3]


def poll(question: Callable[[], object], within: float = 60.0) -> None:
    """Waits until the answer is yes."""
    deadline = time.monotonic() + within
    while not question():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


class SupervisorProcess:
    """``python -m gateway.engines`` on a folder."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.folder = folder
        self.said = folder.with_name(f"{folder.name}.said")
        command = [sys.executable, "-m", "gateway.engines", str(folder), *names]
        with self.said.open("wb") as output:
            self.popen = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True, cwd=ROOT)

    def wait_until_up(self) -> SupervisorProcess:
        poll(lambda: "all engines answer" in self.output or self.popen.poll() is not None)
        assert self.popen.poll() is None, self.output
        return self

    @property
    def output(self) -> str:
        return self.said.read_text()

    @property
    def engines(self) -> dict[str, Identity]:
        kept = msgspec.json.decode((self.folder / "state.json").read_bytes())["processes"]
        return {name: Identity(**process) for name, process in kept.items()}

    def ends_after(self, number: signal.Signals) -> int:
        self.popen.send_signal(number)
        return self.popen.wait(60)


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[..., SupervisorProcess]]:
    """Starts supervisors; what still runs at the end is killed, its engines with it."""
    running: list[SupervisorProcess] = []

    def start(folder: Path, *names: str) -> SupervisorProcess:
        running.append(SupervisorProcess(folder, *names))
        return running[-1]

    yield start
    for supervisor in running:
        if supervisor.popen.poll() is None:
            supervisor.ends_after(signal.SIGTERM)
        if (supervisor.folder / "state.json").exists():
            for engine in supervisor.engines.values():
                with contextlib.suppress(ProcessLookupError):
                    engine.signal(signal.SIGKILL)
