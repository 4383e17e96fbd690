from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.canonical.capabilities import CustomerPage
from gateway.canonical.party import ReportedCustomer
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Conflict, Unavailable
from gateway.reference.readings import readings, refusals
from process_apis.customers.models import DOMAIN, Change, SourceOptions
from process_apis.customers.process import Customers
from process_apis.customers.reading import CustomerLists

pytestmark = pytest.mark.integration


class Clock(SystemClock):
    """Tells the time that it is set to."""

    at = datetime(2026, 11, 22, 8, tzinfo=UTC)

    def now(self):
        return self.at

    def passes(self, **time):
        self.at += timedelta(**time)


class Erp:
    """Lists what it has, two a page."""

    def __init__(self, *customers):
        self.customers = {each.source_code: each for each in customers}
        self.asked = []
        self.before_page = []

    async def list_customers(self, call, *, cursor=None, changed_since=None, limit=200):
        self.asked.append(changed_since)
        if self.before_page:
            await self.before_page.pop(0)()
        at, found = int(cursor or 0), list(self.customers.values())
        following = str(at + 2) if len(found) > at + 2 else None
        return CustomerPage(tuple(found[at : at + 2]), following)


def reported(code, **more):
    return ReportedCustomer(**{"source_code": code, "number": code, "name": code, "roles": ("sold_to",), **more})


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def customers(reference_store, clock):
    return Customers(reference_store, clock)


@pytest.fixture
def lists(reference_store, clock):
    return CustomerLists(
        reference_store, clock, {"erp_eu": SourceOptions(prefix="EU-"), "off": SourceOptions(listed=False)}
    )


@pytest.fixture
def account(customers, tenant):
    async def found(number):
        (one,) = await customers.by_number(tenant, number)
        return await customers.account(tenant, one.customer)

    return found


def counts(read):
    return (read.listed, read.created, read.changed, read.closed, len(read.refused))


async def events(store, tenant):
    return await store.fetchval("select count(*) from store.event where tenant = $1", tenant)


async def test_a_list_is_read_page_by_page_and_again_changes_nothing(lists, account, tenant, reference_store):
    erp = Erp(*(reported(f"C{number}") for number in range(5)), reported("A7", number="C0/7", parent="C0"))
    assert counts(await lists.read(tenant, "erp_na", erp)) == (6, 6, 0, 0, 0)
    shop = await account("C0/7")
    assert (shop.above, shop.codes) == (("C0",), (("erp_na", "A7"),))
    told = await events(reference_store, tenant)
    assert counts(await lists.read(tenant, "erp_na", erp, whole=True)) == (6, 0, 0, 0, 0)
    assert await events(reference_store, tenant) == told


async def test_between_whole_lists_only_what_changed_is_asked_for(lists, tenant, clock):
    erp = Erp(reported("C1"))
    began = clock.at
    await lists.read(tenant, "erp_na", erp)
    clock.passes(minutes=5)
    await lists.read(tenant, "erp_na", erp)
    clock.passes(minutes=54)
    await lists.read(tenant, "erp_na", erp)
    clock.passes(minutes=1)
    await lists.read(tenant, "erp_na", erp)
    overlap = timedelta(minutes=10)
    assert erp.asked == [None, began - overlap, began + timedelta(minutes=5) - overlap, None]


async def test_a_reading_that_broke_off_keeps_its_pages_and_the_next_begins_where_it_did(
    lists, tenant, clock, reference_store
):
    erp, began = Erp(*(reported(f"C{number}") for number in range(4))), clock.at
    await lists.read(tenant, "erp_na", erp)
    clock.passes(minutes=20)
    erp.customers |= {"N1": reported("N1"), "N2": reported("N2")}

    async def goes_well():
        pass

    async def goes_down():
        raise Unavailable("Tryton is down", code="erp.unavailable")

    erp.before_page = [goes_well, goes_well, goes_down]
    with pytest.raises(Unavailable):
        await lists.read(tenant, "erp_na", erp)
    (known,) = await readings(reference_store, tenant, DOMAIN)
    assert (known.began_at, known.failed) == (began, "Tryton is down")
    clock.passes(minutes=20)
    assert counts(await lists.read(tenant, "erp_na", erp)) == (6, 2, 0, 0, 0)
    assert erp.asked[-1] == began - timedelta(minutes=10)
    (known,) = await readings(reference_store, tenant, DOMAIN)
    assert (known.began_at, known.failed) == (clock.at, None)


async def test_an_older_page_never_overwrites_what_a_newer_reading_said(lists, account, tenant):
    erp, newer = Erp(reported("C1", city="Old")), Erp(reported("C1", city="New"))

    async def another_reads():
        await lists.read(tenant, "erp_na", newer)

    erp.before_page = [another_reads]
    with pytest.raises(Conflict) as caught:
        await lists.read(tenant, "erp_na", erp)
    assert caught.value.code == "reference.reading_taken_over"
    assert (await account("C1")).effective["city"] == "New"


async def test_what_a_whole_list_has_no_more_is_closed_and_opens_when_it_comes_back(lists, account, tenant):
    erp = Erp(reported("C1"), reported("C2"), reported("C3"))
    await lists.read(tenant, "erp_na", erp)
    gone = erp.customers.pop("C2")
    assert counts(await lists.read(tenant, "erp_na", erp, whole=True)) == (2, 0, 0, 1, 0)
    assert counts(await lists.read(tenant, "erp_na", erp, whole=True)) == (2, 0, 0, 0, 0)
    closed = await account("C2")
    assert (closed.effective["status"], closed.effective["name"]) == ("closed", "C2")
    assert counts(await lists.read(tenant, "erp_na", Erp(), whole=True)) == (0, 0, 0, 0, 0)
    assert (await account("C1")).effective["status"] == "active"
    erp.customers["C2"] = gone
    assert counts(await lists.read(tenant, "erp_na", erp, whole=True)) == (3, 0, 1, 0, 0)
    assert (await account("C2")).effective["status"] == "active"


async def test_two_erps_that_number_alike_are_two_customers_until_somebody_says_otherwise(
    lists, account, customers, caller, reference_store, clock
):
    tenant = caller.tenant
    await lists.read(tenant, "erp_na", Erp(reported("17", city="Boston")))
    clock.passes(minutes=1)
    await lists.read(tenant, "erp_eu", Erp(reported("17", city="Bergen")))
    assert [(await account(number)).effective["city"] for number in ("17", "EU-17")] == ["Boston", "Bergen"]
    apac = Erp(reported("17", city="Brisbane"), reported("18"))
    assert counts(await lists.read(tenant, "erp_apac", apac)) == (2, 1, 0, 0, 1)
    (refused,) = await refusals(reference_store, tenant, DOMAIN)
    assert (refused.source, refused.record, refused.code) == ("erp_apac", "17", "customer.number_taken")
    assert "prefix" in refused.detail
    await customers.add_code(caller, "erp_apac", (await account("17")).customer.customer, "17")
    assert counts(await lists.read(tenant, "erp_apac", apac, whole=True)) == (2, 0, 1, 0, 0)
    assert await refusals(reference_store, tenant, DOMAIN) == []
    assert (await account("17")).effective["city"] == "Boston"


async def test_what_a_person_or_a_file_said_of_a_customer_is_kept_beside_what_the_erp_says(
    lists, account, customers, caller
):
    await customers.add(caller, "steward", Change(number="C1", attributes={"name": "By hand", "parent": None}))
    await lists.read(caller.tenant, "erp_na", Erp(reported("C1", name="By ERP", payment_term="Net 30")))
    found = await account("C1")
    assert (found.effective["name"], found.effective["payment_term"]) == ("By hand", "Net 30")
    told = {each.attribute: each for each in await customers.provenance(caller.tenant, found.customer.customer)}
    assert [(each.source, each.value) for each in told["name"].others] == [("erp_na", "By ERP")]


async def test_what_is_refused_stays_told_until_it_is_mended_or_gone(lists, tenant, reference_store, clock):
    erp = Erp(reported("C1", country="usa"), reported("A1", parent="NOBODY"), reported("C2", name=""))
    read = await lists.read(tenant, "erp_na", erp)
    assert counts(read) == (3, 1, 0, 0, 3)
    expected = {
        ("C1", "country", "customer.unfit"),
        ("A1", "parent", "customer.unknown_reference"),
        ("C2", "name", "customer.incomplete"),
    }
    assert {
        (each.record, each.attribute, each.code) for each in await refusals(reference_store, tenant, DOMAIN)
    } == expected
    (known,) = await readings(reference_store, tenant, DOMAIN)
    assert (known.refused, known.listed) == (3, 3)
    began = clock.at
    clock.passes(minutes=5)
    erp.customers["A1"] = reported("A1", parent="NOBODY ELSE")
    await lists.read(tenant, "erp_na", erp, whole=True)
    since = {each.record: each.told_at for each in await refusals(reference_store, tenant, DOMAIN)}
    assert since == {"C1": began, "C2": began, "A1": clock.at}
    erp.customers = {"C1": reported("C1", country="US"), "C2": erp.customers["C2"]}
    clock.passes(hours=2)
    await lists.read(tenant, "erp_na", erp)
    (left,) = await refusals(reference_store, tenant, DOMAIN)
    assert left.record == "C2"
    assert await refusals(reference_store, tenant, DOMAIN, after=("erp_na", "C2", "name")) == []


def test_a_list_that_the_settings_do_not_want_is_not_read(lists):
    assert not lists.is_read("off")
    assert lists.is_read("erp_na")
