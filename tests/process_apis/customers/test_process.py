from __future__ import annotations

import asyncio
import io
from contextlib import suppress

import pytest

from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Conflict, CrossdockError, Invalid, NotFound
from gateway.reference.csv_rows import read_rows
from gateway.reference.importing import Order, import_rows
from gateway.reference.survivorship import Ownership
from process_apis.customers.models import Change
from process_apis.customers.process import Customers

pytestmark = pytest.mark.integration
FILE = """number,name,roles,parent,bill_to,country,payment_term,code:erp_na,code:erp_eu
S1,"Shop 1, Main St",ship_to,C1,,US,,10001,
C1,Corner Shops,sold_to ship_to,G,,US,,10000,E-77
G,Group Ltd,bill_to,,,GB,30 days,,E-1
"""


@pytest.fixture
def customers(reference_store):
    return Customers(reference_store, SystemClock())


@pytest.fixture
def take(customers, reference_store, tenant):
    async def taken(text, **more):
        source = more.pop("source", "steward")
        order = Order(tenant=tenant, domain="customer", source=source, actor="cli/kim", correlation_id="c", **more)
        rows = read_rows(io.BytesIO(text.encode()), customers.layout)
        return await import_rows(reference_store, customers, rows, order)

    return taken


async def one(customers, tenant, number):
    (found,) = await customers.by_number(tenant, number)
    return await customers.account(tenant, found.customer)


async def test_a_file_makes_a_hierarchy_over_several_erps_and_again_changes_nothing(take, customers, tenant):
    report = await take(FILE)
    assert (report.created, report.refusals, report.applied) == (3, 0, True)
    again = await take(FILE)
    assert (again.unchanged, again.applied) == (3, False)
    shop = await one(customers, tenant, "S1")
    assert shop.above == ("C1", "G")
    assert (shop.effective["payment_term"], shop.effective["bill_to"]) == ("30 days", "S1")
    assert shop.codes == (("erp_na", "10001"),)
    for source, code in (("erp_na", "10000"), ("erp_eu", "E-77")):
        assert [each.number for each in await customers.by_code(tenant, source, code)] == ["C1"]
    await take("number,bill_to\nC1,G\n")
    assert (await one(customers, tenant, "S1")).effective["bill_to"] == "G"
    assert [each.number for each in await customers.page(tenant, after=None, limit=9, parent="C1")] == ["S1"]


async def test_what_cannot_hold_is_refused_row_by_row(take, customers, tenant):
    report = await take(
        FILE
        + "A,,,,,,,,\n"
        + "B,Name,,,S1,US,,,\n"
        + "C,Name,,X9,,US,,,\n"
        + "D,Name,,E,,US,,,\n"
        + "E,Name,,D,,US,,,\n"
        + "F,Name,,,,US,,10000,\n"
        + "H,Name,,,,usa,,,\n"
        + "I,Name,boss,,,US,,,\n",
        partial=True,
    )
    assert [(each.line, each.column, each.code) for each in report.refused] == [
        (5, "name", "customer.incomplete"),
        (6, "bill_to", "customer.not_bill_to"),
        (7, "parent", "customer.unknown_reference"),
        (8, "parent", "customer.circle"),
        (9, "parent", "customer.circle"),
        (10, "code:erp_na", "customer.code_taken"),
        (11, "country", "import.value"),
        (12, "roles", "import.value"),
    ]
    assert {each.number for each in await customers.page(tenant, after=None, limit=99)} == {"S1", "C1", "G"}


async def test_each_erp_keeps_its_word_and_ownership_says_whose_counts(take, customers, caller, tenant):
    await take("number,name,payment_term\nC1,As the first ERP has it,30 days\n", source="erp_na")
    await take("number,name,payment_term\nC1,As the second has it,60 days\n", source="erp_eu")
    found = await one(customers, tenant, "C1")
    assert (found.effective["name"], found.effective["payment_term"]) == ("As the first ERP has it", "30 days")
    owners = {"payment_term": Ownership(publishes=("erp_eu", "erp_na"), validates=("erp_na",))}
    with pytest.raises(CrossdockError):
        await customers.change_ownership(caller, {"shoe_size": Ownership()}, expected=1, note="")
    await customers.change_ownership(caller, owners, expected=1, note="EU does the books")
    found = await one(customers, tenant, "C1")
    assert (found.effective["name"], found.effective["payment_term"]) == ("As the first ERP has it", "60 days")
    told = {each.attribute: each for each in await customers.provenance(tenant, found.customer.customer)}
    assert (told["payment_term"].source, told["payment_term"].disputed_by) == ("erp_eu", ("erp_na",))
    await customers.state(caller, "steward", found.customer.customer, {"name": "Corner Shops"})
    assert (await one(customers, tenant, "C1")).effective["name"] == "Corner Shops"


async def test_the_same_customer_added_by_several_at_once_is_one(customers, caller, tenant):
    async def add(source):
        with suppress(Conflict):
            await customers.add(caller, source, Change(number="C1", attributes={"name": source}, whole=True))

    await asyncio.gather(*(add(f"erp_{n}") for n in range(5)))
    assert len(await customers.page(tenant, after=None, limit=9)) == 1


async def test_a_code_means_one_customer(customers, caller, take):
    await take(FILE)
    (group,) = await customers.by_number(caller.tenant, "G")
    with pytest.raises(Invalid) as refused:
        await customers.add_code(caller, "erp_na", group.customer, "10001")
    assert refused.value.code == "customer.code_taken"
    found = await customers.add_code(caller, "erp_na", group.customer, "10002")
    assert ("erp_na", "10002") in found.codes


async def test_tenants_see_their_own_customers_only(customers, caller, take, tenant):
    await take(FILE)
    (group,) = await customers.by_number(tenant, "G")
    assert await customers.by_number("elsewhere", "G") == []
    assert await customers.by_code("elsewhere", "erp_na", "10000") == []
    for asked in (customers.account, customers.provenance):
        with pytest.raises(NotFound):
            await asked("elsewhere", group.customer)


async def test_every_change_is_told_and_audited(customers, caller, reference_store, tenant):
    made = await customers.add(caller, "erp_na", Change(number="C1", attributes={"name": "N"}, whole=True))
    await customers.state(caller, "erp_na", made.customer.customer, {"name": "M"})
    await customers.state(caller, "erp_na", made.customer.customer, {"name": "M"})
    events = "select type, aggregate_version from store.event where tenant = $1 order by id"
    rows = await reference_store.fetch(events, tenant)
    assert [(row["type"], row["aggregate_version"]) for row in rows] == [
        ("customer.changed", 1),
        ("customer.changed", 2),
    ]
    audited = "select action from store.audit where tenant = $1 order by id"
    rows = await reference_store.fetch(audited, tenant)
    assert [row["action"] for row in rows] == ["customer.added", "customer.changed"]
