import asyncio
import gc
import weakref

import pytest

from gateway.kernel.errors import Conflict, Unavailable
from gateway.store.batches import AGAIN, Batches
from gateway.store.postgres import CommitUnknown


class Ledger:
    """Doubles numbers; `gate` holds a batch open, `fail` decides what a batch raises."""

    def __init__(self, **limits):
        self.batches = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fail = lambda batch: None
        self.asked = Batches(self.run, **limits)

    async def run(self, batch):
        self.batches.append(list(batch))
        await self.gate.wait()
        if (error := self.fail(batch)) is not None:
            raise error
        return [Conflict("odd") if number % 2 else number * 2 for number in batch]

    def ask(self, *numbers):
        return asyncio.gather(*(self.asked.ask(number) for number in numbers), return_exceptions=True)


async def test_what_is_asked_while_a_batch_runs_goes_into_the_next_one_together():
    ledger = Ledger(largest=3)
    ledger.gate.clear()
    first = asyncio.create_task(ledger.asked.ask(0))
    await asyncio.sleep(0)
    rest = ledger.ask(2, 4, 6, 8)
    await asyncio.sleep(0)
    ledger.gate.set()
    assert (await first, await rest) == (0, [4, 8, 12, 16])
    assert ledger.batches == [[0], [2, 4, 6], [8]]


async def test_one_after_the_other_each_is_answered_at_once():
    ledger = Ledger()
    assert [await ledger.asked.ask(number) for number in (2, 4, 6)] == [4, 8, 12]


async def test_one_member_is_refused_and_the_others_are_not():
    answers = await Ledger().ask(2, 3, 4)
    assert [answers[0], answers[2]] == [4, 8]
    assert isinstance(answers[1], Conflict)


async def test_what_has_to_come_again_is_first_in_the_next_batch():
    batches, ledger = [], Ledger()

    async def run(batch):
        batches.append(list(batch))
        await ledger.gate.wait()
        return [AGAIN if number in (2, 4) and len(batches) == 1 else number for number in batch]

    asked = Batches(run, largest=3)
    assert await asyncio.gather(*(asked.ask(number) for number in range(1, 6))) == [1, 2, 3, 4, 5]
    assert batches == [[1, 2, 3], [2, 4, 5]]


async def test_a_failing_batch_is_tried_again_one_by_one():
    ledger = Ledger()
    ledger.fail = lambda batch: ZeroDivisionError() if 6 in batch else None
    answers = await ledger.ask(2, 6, 4)
    assert [answers[0], answers[2]] == [4, 8]
    assert isinstance(answers[1], ZeroDivisionError)
    assert ledger.batches == [[2, 6, 4], [2], [6], [4]]


@pytest.mark.parametrize(
    ("error", "runs"),
    [
        (CommitUnknown("?"), 1),
        (Unavailable("away", code="store.unavailable"), 1),
        (Unavailable("busy", code="store.contended"), 3),
    ],
)
async def test_only_what_certainly_committed_nothing_is_tried_again(error, runs):
    ledger = Ledger()
    ledger.fail = lambda batch: error
    assert await ledger.ask(2, 4) == [error, error]
    assert len(ledger.batches) == runs


async def test_a_caller_who_gave_up_before_its_turn_is_left_out():
    ledger = Ledger()
    ledger.gate.clear()
    first = asyncio.create_task(ledger.asked.ask(0))
    await asyncio.sleep(0)
    waits, gives_up = (asyncio.create_task(ledger.asked.ask(number)) for number in (2, 4))
    await asyncio.sleep(0)
    gives_up.cancel()
    ledger.gate.set()
    assert (await first, await waits) == (0, 4)
    assert ledger.batches == [[0], [2]]


async def test_a_caller_who_gave_up_in_its_turn_holds_up_nobody():
    ledger = Ledger()
    ledger.gate.clear()
    gone = asyncio.create_task(ledger.asked.ask(0))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    ledger.gate.set()
    assert await ledger.asked.ask(2) == 4


async def test_a_full_queue_sheds():
    ledger = Ledger(waiting=1)
    ledger.gate.clear()
    first = asyncio.create_task(ledger.asked.ask(0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second = asyncio.create_task(ledger.asked.ask(2))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as shed:
        await ledger.asked.ask(4)
    assert (shed.value.code, shed.value.retry_after) == ("store.queue_full", 1.0)
    ledger.gate.set()
    assert (await first, await second) == (0, 4)


async def test_a_refusal_that_was_answered_is_gone_without_the_garbage_collector():
    """Processes of the gateway collect seldom (`calm_collector`): what holds itself would pile up."""
    ledger = Ledger()
    gc.disable()
    try:
        try:
            await ledger.asked.ask(1)
        except Conflict as refusal:
            left = weakref.ref(refusal)
        await asyncio.sleep(0)  # the batch ends behind its answers
        assert left() is None
    finally:
        gc.enable()
