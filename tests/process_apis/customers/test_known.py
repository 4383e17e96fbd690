"""What orders know of customers: with what they inherit, and anew once the copy is a second old."""

import io
from datetime import UTC, datetime

import pytest

from gateway.canonical.party import CustomerStanding
from gateway.kernel.clock import SystemClock
from gateway.reference.csv_rows import read_rows
from gateway.reference.importing import Order, import_rows
from process_apis.customers.known import KnownCustomers
from process_apis.customers.process import Customers

pytestmark = pytest.mark.integration


class Held:
    """A clock that somebody moves."""

    def __init__(self):
        self.at = 100.0

    def monotonic(self):
        return self.at

    def now(self):
        return datetime(2026, 11, 22, tzinfo=UTC)


async def test_standing_follows_the_record_and_what_is_inherited(reference_store, tenant):
    customers, clock = Customers(reference_store, SystemClock()), Held()
    known = KnownCustomers(reference_store, clock)

    async def take(text):
        order = Order(tenant=tenant, domain="customer", source="steward", actor="cli/kim", correlation_id="c")
        await import_rows(reference_store, customers, read_rows(io.BytesIO(text.encode()), customers.layout), order)

    assert await known.standing(tenant, "S1") is None
    await take(
        "number,name,roles,status,parent,country,customer_class\nS1,Shop,ship_to,held,G,US,\nG,Group,,,,GB,gold\n"
    )
    assert await known.standing(tenant, "S1") is None
    clock.at += 1
    assert await known.standing(tenant, "S1") == CustomerStanding(
        number="S1", held=True, may_order=False, customer_class="gold", country="US"
    )
    assert (await known.standing(tenant, "G")).may_order
    await take("number,name,status,customer_class\nG,Group,closed,silver\n")
    assert not (await known.standing(tenant, "G")).closed
    clock.at += 1
    assert (await known.standing(tenant, "G")).closed
    assert (await known.standing(tenant, "S1")).customer_class == "silver"
    assert await known.standing("nobody", "G") is None
