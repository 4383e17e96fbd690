"""What the supervisor asks of an engine, and what it hands out about the running ones."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Protocol

from gateway.engines.process import Account
from gateway.kernel.secrets import Secret

ALL: Final = ("postgres", "nats", "valkey")
"""Every engine, in the order in which they start; they stop in the reverse order."""


@dataclass(frozen=True, slots=True)
class EngineUrls:
    """Where the running engines answer, passwords inside, so never printed. Not asked for is empty."""

    postgres: str = ""
    nats: str = ""
    valkey: str = ""

    def __repr__(self) -> str:
        return "EngineUrls(***)"


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """One engine now. `pid` and `uptime` (seconds) are None while it is down; `folder` holds its data."""

    name: str
    port: int
    pid: int | None
    uptime: float | None
    folder: Path


@dataclass(frozen=True, slots=True)
class Site:
    """Where one engine lives: its data folder, its log, its loopback port, its passwords and the account it runs as.

    `account` is None when engines run as whoever runs us. `secret` finds or makes a password by name.
    `remember` and `recall` keep a short text about the engine between runs.
    """

    data: Path
    log: Path
    secret: Callable[[str], Secret]
    port: int
    account: Account | None
    remember: Callable[[str, str], None]
    recall: Callable[[str], str]
    progress: Callable[[str], None]


class Engine(Protocol):
    """One engine: how its data is prepared, how it is started, when it answers, and how it is asked to stop."""

    title: ClassVar[str]
    program: ClassVar[str]
    """Name of the executable, by which strays are told from other processes that look into the folder."""
    endings: ClassVar[Sequence[tuple[signal.Signals, float]]]
    """Signals to end it with, each with the seconds it is given before the next; SIGKILL follows the last."""

    def __init__(self, site: Site) -> None: ...

    @property
    def url(self) -> str:
        """Address and password for clients."""
        ...

    async def prepare(self) -> None:
        """Makes the data folder ready to be started on. Raises `Misconfigured` when it can't be."""
        ...

    def command(self) -> list[str]:
        """Program and arguments, run with the data folder as working directory. Never holds a secret."""
        ...

    async def ready(self) -> bool:
        """Whether it answers to our password. False while it starts or recovers."""
        ...
