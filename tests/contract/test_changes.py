"""A buyer changes its order over the wire: with the version it saw, once, and only its own."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from running_gateway import SKUS, RunningGateway

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("contract")]
_ORDERS = "/storefront/v2/orders"
_ADDRESS = {"name": "A", "street": "B 1", "city": "C", "postal_code": "1", "country": "US"}


@pytest.fixture
async def client(gateway: RunningGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client() as client:
        yield client


async def place(client: httpx.AsyncClient, **line: Any) -> httpx.Response:
    lines = [{"sku": SKUS[0], "quantity": {"amount": "2", "unit": "CS"}, **line}]
    body = {"external_number": secrets.token_hex(8), "delivery": {"ship_to": _ADDRESS}, "lines": lines}
    return await client.post(_ORDERS, json=body, headers={"Idempotency-Key": secrets.token_hex(8)})


async def change(
    client: httpx.AsyncClient, order: str, tag: str | None, *, amount: str = "3", key: str = "", **more: Any
) -> httpx.Response:
    lines = [{"line": 1, "quantity": {"amount": amount, "unit": "CS"}}]
    headers = {"Idempotency-Key": key or secrets.token_hex(8), **({} if tag is None else {"If-Match": tag})}
    body = {"reference": secrets.token_hex(8), "lines": lines, **more}
    return await client.post(f"{_ORDERS}/{order}/changes", json=body, headers=headers)


async def test_an_order_is_changed_once_by_who_saw_it_as_it_is(gateway: RunningGateway, client):
    placed = await place(client)
    order, tag = placed.json()["id"], placed.headers["etag"]
    assert (await client.get(f"{_ORDERS}/{order}")).headers["etag"] == tag
    for stale, status in ((None, 428), ('"v9"', 412)):
        assert (await change(client, order, stale)).status_code == status
    key, reference = secrets.token_hex(8), {"reference": "PO/1"}
    done = await change(client, order, tag, key=key, **reference)
    assert (done.status_code, done.json()["state"]) == (202, "done"), done.text
    again = await change(client, order, tag, key=key, **reference)
    assert (again.content, again.headers["idempotent-replayed"]) == (done.content, "true")
    assert (await change(client, order, tag, **reference)).json() == done.json(), "another key, the same change"
    other = await change(client, order, tag, amount="4", **reference)
    assert (other.status_code, other.json()["code"]) == (409, "order.action_reused")
    read = await client.get(f"{_ORDERS}/{order}")
    [line] = read.json()["lines"]
    assert (line["quantity"], line["counters"]["ordered"]) == ({"amount": "3", "unit": "CS"}, "36")
    assert read.json()["status"]["changing"] is False
    assert read.headers["etag"] == done.headers["etag"] != tag
    fewer = await change(client, order, read.headers["etag"], amount="1", ship_to={**_ADDRESS, "city": "D"})
    assert fewer.status_code == 202
    after = (await client.get(f"{_ORDERS}/{order}")).json()
    assert (after["lines"][0]["counters"]["cancelled"], after["delivery"]["ship_to"]["city"]) == ("24", "D")
    async with gateway.client(gateway.second.api_key) as stranger:
        answer = await change(stranger, order, tag)
    assert (answer.status_code, answer.json()["code"]) == (404, "order.not_found")


async def test_what_cannot_be_changed_says_where(client):
    placed = await place(client)
    order, tag = placed.json()["id"], placed.headers["etag"]
    lines = [{"line": 1, "quantity": {"amount": "1", "unit": "KGM"}}, {"line": 7, "quantity": {"amount": "1"}}]
    refused = await change(client, order, tag, lines=lines)
    assert (refused.status_code, refused.json()["code"]) == (409, "order.lines_changed")
    assert [each["pointer"] for each in refused.json()["errors"]] == ["/lines/0/quantity/unit", "/lines/1/line"]
    gone = await change(client, order, tag, amount="0")
    assert gone.status_code == 202
    assert (await client.get(f"{_ORDERS}/{order}")).json()["status"]["state"] == "cancelled"


async def test_a_price_that_the_buyer_states_is_told_beside_ours(client):
    placed = await place(client, stated_price={"amount": "200"})
    assert placed.status_code == 201
    [line] = placed.json()["lines"]
    assert (line["stated_price"], line["unit_price"]) == (
        {"amount": "200.00", "currency": "USD"}, {"amount": "19.99", "currency": "USD"},
    )  # fmt: skip
    foreign = await place(client, stated_price={"amount": "200", "currency": "EUR"})
    assert (foreign.status_code, foreign.json()["errors"][0]["pointer"]) == (409, "/lines/0/stated_price/currency")
