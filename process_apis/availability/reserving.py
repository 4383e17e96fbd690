"""Promises for whoever has no transaction of their own: reservations share transactions, every other verb has one.

Reservations that come while a transaction runs share the next one; each is promised or refused for itself, unlocked as
far as stock lines prove it (`optimistic.py`). Whose stock others took between look and taking goes into the next batch,
and after a few of them behind locks. What lost a deadlock or waited too long for a lock was undone whole, and is tried
again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Final, TypeVar

import asyncpg
from msgspec import Struct

from gateway.canonical.capabilities import Connection
from gateway.canonical.stock import ClaimedLine, ClaimRequest
from gateway.kernel.errors import Conflict, Unavailable
from gateway.store.batches import AGAIN, Again, Batches
from gateway.store.postgres import Store
from gateway.store.together import Together
from process_apis.availability.actions import action_reused
from process_apis.availability.claiming import Claimer
from process_apis.availability.optimistic import Answer, Undecided, is_plain
from process_apis.availability.standing import Standing

_LARGEST: Final = 256
_TRIES: Final = 4
_MOST_TURNS: Final = 3
"""Times that a request is decided unlocked and others take it away, before it is decided behind locks."""
_MOST_SKIPPED: Final = 64
_CONTENDED: Final = "store.contended"
_Claimed = Sequence[ClaimedLine]
_Done = TypeVar("_Done")


class Reserver:
    """Verbs on claims, each committed when it returns. Any number of processes may do so at once."""

    def __init__(self, store: Store, claimer: Claimer, standing: Standing) -> None:
        self._store = store
        self._claimer = claimer
        self._standing = standing
        self._batches: dict[str, Batches[_Waiting, _Claimed]] = {}
        self._tenants: dict[str, _Fruitless] = defaultdict(_Fruitless)

    async def reserve(self, tenant: str, request: ClaimRequest) -> _Claimed:
        """Promise all lines of `request` or none: see `Claimer.claim_all` for what it raises.

        Raises `Unavailable` (``store.queue_full``) when too many wait.
        """
        batches = self._batches.get(tenant)
        if batches is None:

            async def run(asked: Sequence[_Waiting]) -> Sequence[_Claimed | BaseException | Again]:
                return await self._reserve_all(tenant, asked)

            batches = self._batches[tenant] = Batches(run, largest=_LARGEST)
        return await batches.ask(_Waiting(request))

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

    async def _reserve_all(self, tenant: str, asked: Sequence[_Waiting]) -> Sequence[_Claimed | BaseException | Again]:
        answers: dict[int, _Claimed | BaseException | Again] = {}
        for some in _turns([each.request for each in asked]):
            turn = [asked[number] for number in some]
            found = await self._reserve_turn(tenant, turn)
            answers.update(zip(some, found, strict=True))
        return [answers[number] for number in range(len(asked))]

    async def _reserve_turn(self, tenant: str, turn: Sequence[_Waiting]) -> Sequence[_Claimed | BaseException | Again]:
        """Each answered by what stands unlocked; where it needs locks, behind them; or not yet."""
        answers: list[Answer] = [Undecided.LOCKS] * len(turn)
        free = [number for number, each in enumerate(turn) if is_plain(each.request) and each.turns < _MOST_TURNS]
        if free and self._tenants[tenant].may_try():
            requests = [turn[number].request for number in free]
            found = await tried(partial(self._reserve_unlocked, tenant, requests))
            self._tenants[tenant].tried(in_vain=all(answer is Undecided.LOCKS for answer in found))
            for number, answer in zip(free, found, strict=True):
                answers[number] = answer
        if bound := [number for number, answer in enumerate(answers) if answer is Undecided.LOCKS]:
            requests = [turn[number].request for number in bound]
            behind = await tried(partial(self._reserve_locked, tenant, requests))
            for number, answer in zip(bound, behind, strict=True):
                answers[number] = answer
        return [each.answered(answer) for each, answer in zip(turn, answers, strict=True)]

    async def _reserve_unlocked(self, tenant: str, requests: Sequence[ClaimRequest]) -> Sequence[Answer]:
        async with self._store.connection() as connection:
            decided = await self._claimer.decide_unlocked(connection, tenant=tenant, requests=requests)
            if decided.is_to_take:
                with _told_if_reused():
                    async with self._store.transaction_on(connection):
                        await decided.take(connection)
        return decided.answers

    async def _reserve_locked(self, tenant: str, requests: Sequence[ClaimRequest]) -> Sequence[_Claimed | Conflict]:
        writes = Together()
        with _told_if_reused():
            async with self._store.transaction() as connection:
                answers = await self._claimer.claim_all(connection, tenant=tenant, requests=requests, writes=writes)
                await writes.run(connection)
        return answers


class _Waiting(Struct):
    """A request, and how often it was decided on what others then took."""

    request: ClaimRequest
    turns: int = 0

    def answered(self, answer: Answer) -> _Claimed | Conflict | Again:
        if isinstance(answer, Undecided):
            self.turns += 1
            return AGAIN
        return answer


class _Fruitless(Struct):
    """How many batches of a tenant are decided behind locks at once, because looking at the last ones was in vain.

    Its rules look further than a stock line, as a rule for all its requests: twice as many each time.
    """

    skip: int = 0
    left: int = 0

    def may_try(self) -> bool:
        if self.left:
            self.left -= 1
            return False
        return True

    def tried(self, *, in_vain: bool) -> None:
        self.left = self.skip = min(_MOST_SKIPPED, 2 * self.skip or 1) if in_vain else 0


@contextmanager
def _told_if_reused() -> Iterator[None]:
    """Two transactions used one action id at once, for different orders."""
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        raise action_reused() from error


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
