"""A sandbox as a child process: started, told what to do, killed and restarted by the demo and the tests."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import secrets
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

_ROOT: Final = Path(__file__).resolve().parents[2]
_PR_SET_PDEATHSIG: Final = 1
_START_S: Final = 60.0


class ControlRefused(Exception):
    """The sandbox refused a control command; the message says why."""


class SandboxProcess:
    """``python -m <module>``, which prints one line of JSON with its `url` when it is ready.

    `seed` is written to the folder and used when the books are empty.
    """

    def __init__(
        self, module: str, folder: Path, *, seed: Mapping[str, Any], arguments: Sequence[str] = (), port: int = 0
    ) -> None:
        self.folder = folder
        self._module = module
        self._seed = seed
        self._arguments = arguments
        self._port = port
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    async def start(self) -> str:
        """Start and wait until it answers; returns its base URL, the same after a restart."""
        self.folder.mkdir(parents=True, exist_ok=True)
        seed = self.folder / "seed.json"
        seed.write_text(json.dumps(self._seed), encoding="utf-8")
        command = [sys.executable, "-m", self._module, "--die-with-parent"]
        command += ["--port", str(self._port), "--folder", str(self.folder), "--seed", str(seed), *self._arguments]
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        )
        if self._process.stdout is None:
            raise RuntimeError("the sandbox has no standard output")
        async with asyncio.timeout(_START_S):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the sandbox {self._module} did not start: see the lines above; folder {self.folder}")
        self.url = json.loads(line)["url"]
        self._port = int(self.url.rpartition(":")[2])
        return self.url

    async def stop(self) -> None:
        """End it cleanly."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """End it as a power cut would."""
        await self._end(signal.SIGKILL)

    async def restart(self) -> str:
        """Kill it and start it again on the same port with the same books."""
        await self.kill()
        return await self.start()

    async def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
        try:
            async with asyncio.timeout(5):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        self._process = None

    async def control(self, name: str, /, **body: Any) -> dict[str, Any]:
        """Have something happen there, for example ``control("ship", client_reference=…)``."""
        return await asyncio.to_thread(self._ask, name, json.dumps(body).encode())

    async def look(self, name: str) -> dict[str, Any]:
        """Read a control resource, for example ``requests`` or ``faults``."""
        return await asyncio.to_thread(self._ask, name, None)

    def _ask(self, name: str, body: bytes | None) -> dict[str, Any]:
        request = urllib.request.Request(f"{self.url}/_control/{name}", data=body)  # noqa: S310 - our own child
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=20) as answer:
                result: dict[str, Any] = json.loads(answer.read())
                return result
        except urllib.error.HTTPError as error:
            with error:
                raise ControlRefused(f"{name}: {error.code} {error.read().decode()}") from None


def secret_file(folder: Path, name: str) -> Path:
    """The file of one secret of a sandbox, made with mode 0600 when it is missing."""
    path = folder / name
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(24))
    return path


def end_with_parent() -> None:
    """End this process when the one that started it ends, where the system can do so (Linux, `prctl(2)`)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
