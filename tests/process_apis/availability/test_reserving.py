from __future__ import annotations

from contextlib import asynccontextmanager

import pytest

from gateway.canonical.stock import ClaimRequest
from gateway.kernel.errors import Unavailable
from process_apis.availability.optimistic import NeedsLocks
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


class ScarceAtFirst:
    """A claimer of stock that is scarce for the first attempt without locks, and plenty from then on."""

    def __init__(self):
        self.tried = []

    async def claim_unlocked(self, _, *, tenant, requests):
        self.tried.append("without")
        if self.tried.count("without") == 1:
            raise NeedsLocks
        return [() for _ in requests]

    async def claim_all(self, _, *, tenant, requests, writes):
        self.tried.append("locks")
        return [() for _ in requests]


async def test_after_a_batch_that_needed_locks_the_next_ones_of_its_tenant_take_them_at_once_for_a_while():
    claimer = ScarceAtFirst()
    reserver = Reserver(NoStore(), claimer, None)
    for number in range(18):
        await reserver.reserve("acme", request(f"o{number}", f"a{number}"))
    assert claimer.tried == ["without", *["locks"] * 17, "without"]
    claimer.tried.clear()
    await reserver.reserve("other", request("o", "a"))
    assert claimer.tried == ["without", "locks"]
