"""Refused records of a system's list, in the queue of exceptions."""

from decimal import Decimal

import pytest

from gateway.canonical.trouble import Effect, TroubleClass, Verb
from gateway.kernel.errors import Conflict
from gateway.kernel.quantity import UnitConversion
from gateway.reference.troubles import RefusalTroubles
from process_apis.exceptions.models import State
from tests.process_apis.items.test_process import CALL, Reader, reported
from tests.process_apis.queued import Queue

pytestmark = pytest.mark.integration

STRANGE = (UnitConversion("??", Decimal(3)),)
STRANGER = (UnitConversion("!!", Decimal(3)),)


@pytest.fixture
def queue(store):
    return Queue(store, "acme", RefusalTroubles())


async def test_records_refused_for_one_reason_are_one_entry_that_ends_when_the_list_is_mended(items, queue):
    odd = [reported(str(n), f"SKU-{n}", packs=STRANGE) for n in range(5)]
    await items.sync(CALL, "erp", Reader([*odd, reported("9", "tab\t")]))
    told = {entry.code: entry for entry in await queue.look()}
    assert set(told) == {"item.unit_unknown", "item.sku_unfit"}
    entry = told["item.unit_unknown"]
    assert (entry.kind, entry.count, entry.error_class, entry.effect, entry.fault_domain, entry.verbs) == (
        "refused_record", 5, TroubleClass.VALIDATION, Effect.HIDES_STOCK, "erp", (Verb.RETRY, Verb.IGNORE),
    )  # fmt: skip
    assert "0, 1, 2 and 2 more" in entry.detail
    await items.sync(CALL, "erp", Reader([*odd[:2], *(reported(str(n), f"SKU-{n}") for n in range(2, 5))]))
    assert {each.code: each.count for each in await queue.look()} == {"item.unit_unknown": 2}
    await items.sync(CALL, "erp", Reader([reported(str(n), f"SKU-{n}") for n in range(5)]))
    assert await queue.state(entry) is State.RESOLVED


async def test_a_retry_has_the_whole_list_read_and_says_when_it_is_refused_still(items, store, queue):
    await items.sync(CALL, "erp", Reader([reported("1", "A", packs=STRANGE)]))
    [entry] = await queue.look()
    assert await store.fetchval("select whole_at from reference.reading") is not None
    await queue.retry(entry)
    assert await store.fetchval("select whole_at from reference.reading") is None
    assert await queue.state(entry) is State.RETRYING
    await items.sync(CALL, "erp", Reader([reported("1", "A", packs=STRANGE)]))
    assert await queue.state(entry) is State.OPEN
    seen = (await queue.look())[0].seen
    await items.sync(CALL, "erp", Reader([reported("1", "A", packs=STRANGE)]))
    assert (await queue.look())[0].seen == seen, "a list that is read again tells nothing new"
    assert await queue.story(entry) == ["raised", "retry", "retry_failed"]


async def test_what_is_let_be_stays_away_until_the_list_tells_it_otherwise(items, queue):
    odd = reported("1", "A", packs=STRANGE)
    await items.sync(CALL, "erp", Reader([odd]))
    [entry] = await queue.look()
    await queue.ignore(entry, "sold by the piece only")
    await items.sync(CALL, "erp", Reader([odd]))
    assert await queue.look() == []
    with pytest.raises(Conflict):
        await queue.ignore(entry, "again")
    await items.sync(CALL, "erp", Reader([reported("1", "A", packs=STRANGER)]))
    [again] = await queue.look()
    assert (again.entry, again.state) == (entry.entry, State.OPEN)
