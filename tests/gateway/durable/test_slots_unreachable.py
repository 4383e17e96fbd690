"""However PostgreSQL fails while a slot is claimed, the worker is told that it is away, and nothing stays open."""

import asyncpg
import pytest

from gateway.durable.slots import claim_slot
from gateway.kernel.errors import Unavailable
from tests.failing_connections import FailingConnection, each_failure


@each_failure
async def test_a_connection_that_cannot_be_made(monkeypatch, failure):
    async def connect(*_, **__):
        raise failure

    monkeypatch.setattr(asyncpg, "connect", connect)
    with pytest.raises(Unavailable, match="PostgreSQL does not answer"):
        await claim_slot("postgresql://nowhere")


@each_failure
async def test_a_connection_that_fails_while_slots_are_tried(monkeypatch, failure):
    made = FailingConnection(failure)

    async def connect(*_, **__):
        return made

    monkeypatch.setattr(asyncpg, "connect", connect)
    with pytest.raises(Unavailable, match="PostgreSQL does not answer"):
        await claim_slot("postgresql://nowhere")
    assert made.ended
