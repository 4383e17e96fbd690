"""Applying a configuration: written under the version it replaces, then watched until everybody holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from gateway.configuration.workers import Worker, living
from gateway.kernel.clock import Clock
from gateway.store.postgres import Store

_LOOK_SECONDS: Final = 0.2


class Acknowledged(Struct, frozen=True, kw_only=True):
    """Who holds a version: `missing` had not said so in time, `refused` could not build it."""

    version: int
    holding: tuple[Worker, ...]
    missing: tuple[Worker, ...]
    refused: tuple[Worker, ...]

    @property
    def everybody(self) -> bool:
        """Whether all who live hold it."""
        return not self.missing and not self.refused


async def await_acknowledged(
    store: Store, clock: Clock, version: int, *, seconds: float, progress: Callable[[str], None]
) -> Acknowledged:
    """Wait until every living process holds `version` or has refused it, at most `seconds`."""
    until = clock.monotonic() + seconds
    told = ""
    while True:
        async with store.connection() as connection:
            state = acknowledged(version, await living(connection))
        if not state.missing or clock.monotonic() >= until:
            return state
        line = (
            f"version {version}: {len(state.holding)} of {len(state.holding) + len(state.missing)} hold it, "
            f"waiting for {', '.join(worker.called for worker in state.missing)}"
        )
        if line != told:
            progress(line)
            told = line
        await asyncio.sleep(_LOOK_SECONDS)


def acknowledged(version: int, workers: Sequence[Worker]) -> Acknowledged:
    """The living sorted by what they say of `version`."""
    holding = tuple(worker for worker in workers if worker.holds(version))
    others = [worker for worker in workers if not worker.holds(version)]
    return Acknowledged(
        version=version,
        holding=holding,
        missing=tuple(worker for worker in others if worker.refused_version != version),
        refused=tuple(worker for worker in others if worker.refused_version == version),
    )
