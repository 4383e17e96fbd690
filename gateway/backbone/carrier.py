"""The connection to NATS. It comes and goes; nobody waits for it to commit, and delivery goes on without it.

A connection is made afresh each time (the client's own reconnection is off), so that whoever uses one sees its end
once and sets everything up again: streams, consumers, sequences.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from typing import Final

import nats
from nats.aio.client import Client
from nats.js import JetStreamContext

_logger = logging.getLogger(__name__)

_CONNECT_S: Final = 2
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 1.0
_PING_S: Final = 3
_JETSTREAM_S: Final = 2  # a short patience: the record is never far


class Line:
    """One connection, from its making to its end."""

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self.client = Client()
        self.jetstream: JetStreamContext = self.client.jetstream(timeout=_JETSTREAM_S)

    async def open(self, url: str) -> None:
        """Connect, or raise what nats-py raises."""
        await self.client.connect(
            url,
            allow_reconnect=False,
            connect_timeout=_CONNECT_S,
            ping_interval=_PING_S,
            max_outstanding_pings=2,
            closed_cb=self._on_end,
            disconnected_cb=self._on_end,
            error_cb=self._on_error,
            name="crossdock-backbone",
        )

    async def close(self) -> None:
        """End it, whatever state it is in."""
        self.over.set()
        with contextlib.suppress(Exception):  # a connection that broke while connecting can fail in many ways
            async with asyncio.timeout(2):
                await self.client.close()

    async def _on_end(self) -> None:
        self.over.set()

    async def _on_error(self, error: Exception) -> None:
        _logger.debug("NATS reports %s", type(error).__name__)


class Carrier:
    """Keeps one line to NATS while `run` runs."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._line: Line | None = None
        self._changed = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether there is a line now."""
        return self._line is not None and not self._line.over.is_set()

    async def line(self) -> Line:
        """The present line, waiting for one."""
        while True:
            changed = self._changed
            if self._line is not None and not self._line.over.is_set():
                return self._line
            await changed.wait()

    async def run(self) -> None:
        """Connect again and again, until cancelled."""
        pause = _FIRST_PAUSE_S
        while True:
            line = Line()
            try:
                async with asyncio.timeout(_CONNECT_S * 2):
                    await line.open(self._url)
                self._set(line)
                pause = _FIRST_PAUSE_S
                await line.over.wait()
                _logger.warning("the connection to NATS was lost; events are delivered from the record meanwhile")
            except nats.errors.AuthorizationError:
                _logger.error("NATS refuses our credentials: check nats.url")  # noqa: TRY400 - the trace says no more
            except Exception as error:  # noqa: BLE001 - the client fails in many ways while a server comes or goes
                _logger.debug("NATS cannot be reached: %s", type(error).__name__)
            finally:
                self._set(None)
                await line.close()
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - spreads reconnections, no secret
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    def _set(self, line: Line | None) -> None:
        self._line = line
        self._changed.set()
        self._changed = asyncio.Event()
