from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from itertools import groupby

import pytest

from gateway.canonical.stock import ClaimRequest
from gateway.kernel.errors import Unavailable
from process_apis.availability.optimistic import Undecided
from process_apis.availability.reserving import Reserver, _turns, tried


def request(order, action):
    return ClaimRequest(action=action, order=order, channel="web", lines=(), correlation_id="c")


def test_no_turn_has_two_of_one_order_or_one_action_and_an_order_keeps_its_own_order():
    asked = [request("o1", "a1"), request("o2", "a2"), request("o1", "a3"), request("o3", "a2"), request("o1", "a1")]
    assert _turns(asked) == [[0, 1], [2, 3], [4]]
    assert _turns([]) == []


@pytest.mark.parametrize(("failures", "code", "tries"), [(3, "store.contended", 4), (1, "store.unavailable", 1)])
async def test_what_lost_a_deadlock_is_tried_again_and_what_lost_the_record_is_not(failures, code, tries):
    attempts = []

    async def attempt():
        attempts.append(1)
        if len(attempts) <= failures:
            raise Unavailable("again", code=code)
        return "done"

    if tries > failures:
        assert await tried(attempt) == "done"
    else:
        with pytest.raises(Unavailable):
            await tried(attempt)
    assert len(attempts) == tries


async def test_a_deadlock_without_end_is_told():
    async def attempt():
        raise Unavailable("again", code="store.contended")

    with pytest.raises(Unavailable):
        await tried(attempt)


class NoStore:
    @asynccontextmanager
    async def transaction(self):
        yield None

    connection = transaction


class Decided:
    is_to_take = False

    def __init__(self, answers):
        self.answers = answers


class Decides:
    """A claimer that answers what it is told to, one after the other, to whoever asks it to decide unlocked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.tried = []

    async def decide_unlocked(self, _, *, tenant, requests):
        self.tried.append("unlocked")
        return Decided([self.answers.pop(0) if self.answers else () for _ in requests])

    async def claim_all(self, _, *, tenant, requests, writes):
        self.tried.append(f"locks for {len(requests)}")
        return [() for _ in requests]


async def test_batches_of_rules_that_look_further_are_looked_at_in_vain_less_and_less_often():
    claimer = Decides(*[Undecided.LOCKS] * 4)
    reserver = Reserver(NoStore(), claimer, None)
    for number in range(14):
        await reserver.reserve("acme", request(f"o{number}", f"a{number}"))
    looks = [tried for tried in claimer.tried if tried == "unlocked"]
    assert len(looks) == 4
    assert [len(list(some)) for tried, some in groupby(claimer.tried) if tried != "unlocked"] == [2, 3, 5, 4]
    claimer.tried.clear()
    await reserver.reserve("other", request("o", "a"))
    assert claimer.tried == ["unlocked"]


async def test_what_others_take_away_again_and_again_is_decided_behind_locks_in_the_end():
    claimer = Decides(*[Undecided.AGAIN] * 9)
    await Reserver(NoStore(), claimer, None).reserve("acme", request("o", "a"))
    assert claimer.tried == ["unlocked"] * 3 + ["locks for 1"]


async def test_one_of_a_batch_that_needs_locks_does_not_take_the_others_behind_them():
    claimer = Decides((), Undecided.LOCKS, ())
    reserver = Reserver(NoStore(), claimer, None)
    await asyncio.gather(*(reserver.reserve("acme", request(f"o{n}", f"a{n}")) for n in range(3)))
    assert claimer.tried == ["unlocked", "locks for 1"]
    await reserver.reserve("acme", request("next", "next"))
    assert claimer.tried[2:] == ["unlocked"]
