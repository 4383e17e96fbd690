from uuid import uuid4

import pytest

from gateway.kernel.errors import Misconfigured
from gateway.store.installation import begin_log_epoch, check_installation
from gateway.store.log import append
from gateway.store.log_reader import BEGINNING, LogReader
from gateway.store.postgres import Store

from .conftest import event

pytestmark = pytest.mark.integration


async def test_the_expected_installation_is_accepted_in_any_spelling(store):
    found = await check_installation(store, None)
    assert await check_installation(store, found.identity.upper()) == found
    assert found.log_epoch == 1


async def test_another_installation_or_an_empty_database_is_refused(store, record_url):
    with pytest.raises(Misconfigured, match="belongs to installation"):
        await check_installation(store, str(uuid4()))
    with pytest.raises(Misconfigured, match="not a UUID"):
        await check_installation(store, "production")
    empty = Store(record_url.rpartition("/")[0] + "/postgres")
    await empty.open()
    with pytest.raises(Misconfigured, match="no Crossdock installation"):
        await check_installation(empty, None)
    await empty.close()


async def test_another_server_or_timeline_starts_a_new_log_epoch_once(store):
    assert (await check_installation(store, None)).log_epoch == 1
    await store.execute("update store.installation set cluster = '42/00000001'")
    assert (await check_installation(store, None)).log_epoch == 2
    assert (await check_installation(store, None)).log_epoch == 2


async def test_events_of_a_new_epoch_come_after_all_of_the_old_whatever_their_transaction_ids(store):
    reader = LogReader()
    async with store.transaction() as connection:
        await append(connection, [event("before")])
    await store.execute("update store.event set transaction_id = '900000000000'")  # a restore set the counter back
    await begin_log_epoch(store)
    async with store.transaction() as connection:
        await append(connection, [event("after")])
    async with store.connection() as connection:
        stretch = await reader.read_after(connection, BEGINNING)
    assert [(each.event.aggregate, each.position.epoch) for each in stretch.events] == [("before", 1), ("after", 2)]
