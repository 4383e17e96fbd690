"""Promises for whoever has no transaction of their own: reservations share transactions, every other verb has one.

Reservations that come while a transaction runs share the next one; each is promised or refused for itself. What lost
a deadlock or waited too long for a lock was undone whole, and is tried again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Final, TypeVar

import asyncpg

from gateway.canonical.capabilities import Connection
from gateway.canonical.stock import ClaimedLine, ClaimRequest
from gateway.kernel.errors import Conflict, Unavailable
from gateway.store.batches import Batches
from gateway.store.postgres import Store
from gateway.store.together import Together
from process_apis.availability.actions import action_reused
from process_apis.availability.claiming import Claimer
from process_apis.availability.optimistic import NeedsLocks, is_plain
from process_apis.availability.standing import Standing

_LARGEST: Final = 256
_TRIES: Final = 4
_BEHIND_LOCKS: Final = 16
"""Batches that are decided behind locks after one that had to be, before it is tried without again."""
_CONTENDED: Final = "store.contended"
_Claimed = Sequence[ClaimedLine]
_Done = TypeVar("_Done")


class Reserver:
    """Verbs on claims, each committed when it returns. Any number of processes may do so at once."""

    def __init__(self, store: Store, claimer: Claimer, standing: Standing) -> None:
        self._store = store
        self._claimer = claimer
        self._standing = standing
        self._batches: dict[str, Batches[ClaimRequest, _Claimed]] = {}
        self._behind_locks: dict[str, int] = {}

    async def reserve(self, tenant: str, request: ClaimRequest) -> _Claimed:
        """Promise all lines of `request` or none: see `Claimer.claim_all` for what it raises.

        Raises `Unavailable` (``store.queue_full``) when too many wait.
        """
        batches = self._batches.get(tenant)
        if batches is None:

            async def run(asked: Sequence[ClaimRequest]) -> Sequence[_Claimed | BaseException]:
                return await self._reserve_all(tenant, asked)

            batches = self._batches[tenant] = Batches(run, largest=_LARGEST)
        return await batches.ask(request)

    async def allocate(
        self, tenant: str, *, action: str, order: str, correlation_id: str, handed: bool = False
    ) -> _Claimed:
        """See `Standing.allocate`."""
        return await self._alone(
            lambda connection: self._standing.allocate(
                connection, tenant=tenant, action=action, order=order, correlation_id=correlation_id, handed=handed
            )
        )

    async def extend(self, tenant: str, *, action: str, order: str, by: timedelta, correlation_id: str) -> _Claimed:
        """See `Standing.extend`."""
        return await self._alone(
            lambda connection: self._standing.extend(
                connection, tenant=tenant, action=action, order=order, by=by, correlation_id=correlation_id
            )
        )

    async def release(
        self, tenant: str, *, action: str, order: str, lines: Sequence[int] | None, correlation_id: str
    ) -> _Claimed:
        """See `Standing.release`."""
        return await self._alone(
            lambda connection: self._standing.release(
                connection, tenant=tenant, action=action, order=order, lines=lines, correlation_id=correlation_id
            )
        )

    async def cancel(self, tenant: str, *, action: str, order: str, correlation_id: str) -> _Claimed:
        """See `Standing.cancel`."""
        return await self._alone(
            lambda connection: self._standing.cancel(
                connection, tenant=tenant, action=action, order=order, correlation_id=correlation_id
            )
        )

    async def transfer(self, tenant: str, *, action: str, order: str, to: str, correlation_id: str) -> _Claimed:
        """See `Standing.transfer`."""
        return await self._alone(
            lambda connection: self._standing.transfer(
                connection, tenant=tenant, action=action, order=order, to=to, correlation_id=correlation_id
            )
        )

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _alone(self, verb: Callable[[Connection], Awaitable[_Claimed]]) -> _Claimed:
        async def attempt() -> _Claimed:
            async with self._store.transaction() as connection:
                return await verb(connection)

        return await tried(attempt)

    async def _reserve_all(self, tenant: str, requests: Sequence[ClaimRequest]) -> Sequence[_Claimed | BaseException]:
        answers: dict[int, _Claimed | BaseException] = {}
        for some in _turns(requests):
            asked = [requests[number] for number in some]
            found = await tried(partial(self._reserve, tenant, asked))
            answers.update(zip(some, found, strict=True))
        return [answers[number] for number in range(len(requests))]

    async def _reserve(self, tenant: str, requests: Sequence[ClaimRequest]) -> Sequence[_Claimed | Conflict]:
        try:
            if (made := await self._reserve_unlocked(tenant, requests)) is not None:
                return made
            writes = Together()
            async with self._store.transaction() as connection:
                answers = await self._claimer.claim_all(connection, tenant=tenant, requests=requests, writes=writes)
                await writes.run(connection)
        except asyncpg.UniqueViolationError as error:
            raise action_reused() from error
        return answers

    async def _reserve_unlocked(self, tenant: str, requests: Sequence[ClaimRequest]) -> Sequence[_Claimed] | None:
        """As `_reserve`; None where it has to be behind locks. If stock or rules want it, so do the next batches."""
        if not all(map(is_plain, requests)):
            return None
        if (left := self._behind_locks.get(tenant, 0)) > 0:
            self._behind_locks[tenant] = left - 1
            return None
        try:
            async with self._store.transaction() as connection:
                return await self._claimer.claim_unlocked(connection, tenant=tenant, requests=requests)
        except NeedsLocks:
            self._behind_locks[tenant] = _BEHIND_LOCKS
            return None


async def tried(attempt: Callable[[], Awaitable[_Done]]) -> _Done:
    """Do it again where PostgreSQL undid all of it for a deadlock or a lock."""
    for left in reversed(range(_TRIES)):
        try:
            return await attempt()
        except Unavailable as error:
            if error.code != _CONTENDED or not left:
                raise
    raise AssertionError("unreachable")


def _turns(requests: Sequence[ClaimRequest]) -> list[list[int]]:
    """Numbers of `requests` in turns, so that no turn has two of one order or of one action id."""
    turns: list[tuple[list[int], set[tuple[str, str]]]] = []
    for number, request in enumerate(requests):
        names = {("order", request.order), ("action", request.action)}
        for numbers, taken in turns:
            if not names & taken:
                numbers.append(number)
                taken.update(names)
                break
        else:
            turns.append(([number], names))
    return [numbers for numbers, _ in turns]
