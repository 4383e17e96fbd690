from __future__ import annotations

import pytest

from gateway.canonical.stock import ClaimRequest
from gateway.kernel.errors import Unavailable
from process_apis.availability.reserving import _turns, tried


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
