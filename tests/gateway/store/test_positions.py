import pytest

from gateway.canonical.events import Position
from gateway.kernel.errors import NotFound
from gateway.store.log import append
from gateway.store.log_reader import BEGINNING, LogReader
from gateway.store.positions import lock_position, move_position, read_position, start_consumer

from .conftest import event

pytestmark = pytest.mark.integration
reader = LogReader()


async def test_a_position_moves_with_the_transaction_and_not_without_it(store):
    async with store.transaction() as connection:
        await start_consumer(connection, "c")
        await append(connection, [event()])
    async with store.connection() as connection:
        end = await reader.end(connection)
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the block is the transaction
        async with store.transaction() as connection:
            await move_position(connection, "c", end)
            raise ZeroDivisionError
    async with store.transaction() as connection:
        assert (await lock_position(connection, "c")).position == BEGINNING
        await move_position(connection, "c", end)
    async with store.transaction() as connection:
        await start_consumer(connection, "c")
        assert await read_position(connection, "c", reader) == end


async def test_a_position_ahead_of_the_record_is_rewound_to_what_was_recorded_before_it_moved(store):
    async with store.transaction() as connection:
        await append(connection, [event(version=1), event(version=2)])
    async with store.transaction() as connection:
        end = await reader.end(connection)
        await start_consumer(connection, "c")
        await move_position(connection, "c", Position(end.epoch + 1, 5, 5))
    async with store.transaction() as connection:
        await append(connection, [event(version=3)])
    async with store.transaction() as connection:
        assert await read_position(connection, "c", reader) == end
    async with store.transaction() as connection:
        stretch = await reader.read_after(connection, await read_position(connection, "c", reader))
    assert [each.event.aggregate_version for each in stretch.events] == [3]


async def test_a_consumer_that_was_never_started_is_not_found(store):
    async with store.transaction() as connection:
        with pytest.raises(NotFound):
            await lock_position(connection, "nobody")
        with pytest.raises(NotFound):
            await read_position(connection, "nobody", reader)
