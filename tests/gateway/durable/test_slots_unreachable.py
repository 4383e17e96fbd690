"""However PostgreSQL fails while a slot is claimed, the worker is told that it is away, and nothing stays open."""

import pytest

from gateway.durable.slots import claim_slot
from gateway.kernel.errors import Unavailable
from tests.failing_connections import connecting_fails, connecting_gives, each_failure


@each_failure
async def test_a_connection_that_cannot_be_made(monkeypatch, failure):
    connecting_fails(monkeypatch, failure)
    with pytest.raises(Unavailable, match="PostgreSQL does not answer"):
        await claim_slot("postgresql://nowhere")


@each_failure
async def test_a_connection_that_fails_while_slots_are_tried(monkeypatch, failure):
    made = connecting_gives(monkeypatch, failure)
    with pytest.raises(Unavailable, match="PostgreSQL does not answer"):
        await claim_slot("postgresql://nowhere")
    assert made.ended
