"""However PostgreSQL fails while an order is locked, that is told as what passes, and nothing is worked on."""

from types import SimpleNamespace

import pytest

from gateway.kernel.errors import Unavailable
from gateway.systems.exclusive import order_locks
from tests.failing_connections import connecting_fails, connecting_gives, each_failure

STORE = SimpleNamespace(url="postgresql://nowhere")


@each_failure
async def test_a_connection_that_cannot_be_made(monkeypatch, failure):
    connecting_fails(monkeypatch, failure)
    with pytest.raises(Unavailable, match="cannot be reached"):
        async with order_locks(STORE)("ord_1"):
            raise AssertionError


@each_failure
async def test_a_connection_that_fails_while_the_lock_is_taken(monkeypatch, failure):
    made = connecting_gives(monkeypatch, failure)
    with pytest.raises(Unavailable, match="cannot be reached"):
        async with order_locks(STORE)("ord_1"):
            raise AssertionError
    assert made.ended
