"""A partner's invoices over the wire: those of its own orders, one by one, told once each, and nobody else's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest
from running_gateway import SHIPPED, TENANT, RunningGateway, billed

from gateway.app import administer
from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Event
from gateway.kernel.keyring import KeyRing
from gateway.settings import load_settings
from gateway.store.log import append

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("contract")]
_OF_ORDER = f"/storefront/v2/orders/{SHIPPED}/invoices"


@pytest.fixture
async def client(gateway: RunningGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client() as client:
        yield client


async def test_an_order_tells_its_invoices_with_tax_and_the_shipments_that_they_bill(gateway, client):
    await bill(gateway)
    [listed] = (await client.get(_OF_ORDER)).json()["items"]
    assert (listed["number"], listed["issued_on"], listed["shipments"]) == ("INV/17 №4", "2026-11-22", [1])
    assert (listed["net"], listed["tax"], listed["total"]) == tuple(
        {"amount": amount, "currency": "USD"} for amount in ("20.00", "3.80", "23.80")
    )
    assert listed["lines"] == [
        {
            "line": 1,
            "quantity": {"amount": "2", "unit": "EA"},
            "unit_price": {"amount": "10.00", "currency": "USD"},
            "net": {"amount": "20.00", "currency": "USD"},
            "tax": None,
        }
    ]
    assert (await client.get(f"{_OF_ORDER}/{listed['id']}")).json() == listed
    unknown = await client.get(f"{_OF_ORDER}/inv_00000000000000000000000000")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "invoice.not_found")


async def test_another_partner_is_told_the_same_of_an_invoice_as_of_nothing(gateway, client):
    await bill(gateway)
    [listed] = (await client.get(_OF_ORDER)).json()["items"]
    async with gateway.client(gateway.second.api_key) as stranger:
        for address in (_OF_ORDER, f"{_OF_ORDER}/{listed['id']}"):
            theirs = await stranger.get(address)
            assert (theirs.status_code, theirs.json()["code"]) == (404, "order.not_found")


async def test_the_stream_tells_an_invoice_to_whose_order_it_bills(gateway, client):
    before = (await client.get("/storefront/v2/events")).text
    headers = {"Last-Event-ID": before.rpartition("id: ")[2].partition("\n")[0]}
    await bill(gateway, told=True)
    [listed] = (await client.get(_OF_ORDER)).json()["items"]
    told = ""
    for _ in range(50):  # a stream ends after a moment; what it had not heard by then, the next one tells
        told = (await client.get("/storefront/v2/events", params={"type": "invoice.issued"}, headers=headers)).text
        if listed["id"] in told:
            break
    assert "event: invoice.issued" in told
    assert listed["id"] in told
    async with gateway.client(gateway.second.api_key) as stranger:
        begin = (await stranger.get("/storefront/v2/events")).text.rpartition("id: ")[2].partition("\n")[0]
        assert listed["id"] not in (await stranger.get("/storefront/v2/events", headers={"Last-Event-ID": begin})).text


async def bill(gateway: RunningGateway, *, told: bool = False) -> None:
    """Let an ERP have billed the order's only shipment; `told`: with its event."""

    async def work(connection: Connection, _: KeyRing) -> None:
        shipment = await billed(connection, SHIPPED)
        version = await connection.fetchval(
            "update order_to_ship.sales_order set version = version + 1 where order_id = $1 returning version", SHIPPED
        )
        data = {"order": SHIPPED, "partner": gateway.first.partner_id, "shipment": shipment}
        event = Event(
            tenant=TENANT,
            type="invoice.issued",
            aggregate=SHIPPED,
            aggregate_version=version,
            occurred_at=datetime.now(UTC),
            correlation_id="c",
            data=data,
        )
        if told:
            await append(connection, [event])

    await administer(load_settings(gateway.settings_path), work)
