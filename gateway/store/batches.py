"""Many callers, one transaction: what is asked while a batch runs goes into the next one together.

Nobody waits for a batch to fill: the first asker starts one at once, and under load the batches grow by themselves, as
group commit does. A batch is one transaction of its process; correctness never rests on it (`semantics.md` 3).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import Final, Generic, TypeVar

from gateway.kernel.errors import Unavailable
from gateway.store.postgres import CommitUnknown

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

_CONTENDED: Final = "store.contended"
_RETRY_AFTER: Final = 1.0


class Again(Enum):
    """What `run` answers for a member that is to be in the next batch, before whoever waits."""

    AGAIN = "again"


AGAIN: Final = Again.AGAIN


class Batches(Generic[Asked, Answer]):
    """`run` answers every member of a batch, in order, in one transaction: a value, or an exception for that member.

    Or `AGAIN`, where what the member needs was taken in between: nothing of it was done, and `run` sees that it ends.

    At most `largest` members in one batch and `lanes` batches at once; `waiting` more may wait, and whoever comes then
    is shed with `Unavailable` (code ``store.queue_full``). When `run` itself raises, nothing was committed and each
    member is tried once more alone, so that one bad member fails nobody else; unless the record went away, or it is
    unknown whether the commit took place: then all are told so.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Asked]], Awaitable[Sequence[Answer | BaseException | Again]]],
        *,
        largest: int = 64,
        waiting: int = 2048,
        lanes: int = 1,
    ) -> None:
        self._run = run
        self._largest = largest
        self._most_waiting = waiting
        self._lanes = lanes
        self._queue: deque[tuple[Asked, asyncio.Future[Answer]]] = deque()
        self._running: set[asyncio.Task[None]] = set()

    async def ask(self, asked: Asked) -> Answer:
        """The answer for `asked`. A caller who gives up before its batch began is left out of it."""
        if len(self._queue) >= self._most_waiting:
            raise Unavailable(
                "too much is waiting to be written: try again in a moment",
                code="store.queue_full",
                retry_after=_RETRY_AFTER,
            )
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.append((asked, answer))
        if len(self._running) < self._lanes:
            self._running.add(asyncio.create_task(self._work(), name="batches"))
        try:
            return await answer
        finally:
            del answer  # an exception holds this frame: with the future in it, it would hold itself

    async def _work(self) -> None:
        try:
            while self._queue:
                count = min(len(self._queue), self._largest)
                taken = [self._queue.popleft() for _ in range(count)]
                if batch := [(asked, answer) for asked, answer in taken if not answer.done()]:
                    await self._answer(batch)
        finally:
            # In the same step as the last look at the queue: an ask in between would find a lane that has ended.
            self._running.discard(asyncio.current_task())

    async def _answer(self, batch: Sequence[tuple[Asked, asyncio.Future[Answer]]]) -> None:
        answers: Sequence[Answer | BaseException | Again]
        try:
            answers = await self._run([asked for asked, _ in batch])
        except Exception as error:  # noqa: BLE001  # told to whoever asked
            if len(batch) > 1 and _may_try_again(error):
                for member in batch:
                    await self._answer([member])
                return
            answers = [error] * len(batch)
        except BaseException:
            for _, answer in batch:
                answer.cancel()
            raise
        again = [member for member, found in zip(batch, answers, strict=True) if found is AGAIN]
        self._queue.extendleft(reversed(again))
        for (_, future), found in zip(batch, answers, strict=True):
            if future.done() or isinstance(found, Again):
                continue
            if isinstance(found, BaseException):
                future.set_exception(found)
            else:
                future.set_result(found)


def _may_try_again(error: Exception) -> bool:
    if isinstance(error, CommitUnknown):
        return False
    return not isinstance(error, Unavailable) or error.code == _CONTENDED
