"""A partner's door for returns over the wire: asked once, isolated, told in the order and as events."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from running_gateway import SHIPPED, TENANT, RunningGateway

from gateway.app import administer
from gateway.canonical.capabilities import Connection
from gateway.identity.clients import add_api_key, add_client
from gateway.identity.grants import ClientKind
from gateway.kernel.keyring import KeyRing
from gateway.settings import load_settings

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("contract")]
_RETURNS = "/storefront/v2/returns"


@pytest.fixture
async def client(gateway: RunningGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client() as client:
        yield client


def body(amount: str = "2", **more: Any) -> dict[str, Any]:
    line = {"line": 1, "quantity": {"amount": amount}, "reason": "damaged"}
    return {"reference": f"RMA-{secrets.token_hex(8)}", "order_id": SHIPPED, "lines": [line], **more}


async def ask(client: httpx.AsyncClient, sent: dict[str, Any], key: str | None = None) -> httpx.Response:
    return await client.post(_RETURNS, json=sent, headers={"Idempotency-Key": key or secrets.token_hex(8)})


async def test_a_return_is_authorised_once_and_read_where_the_answer_says(client):
    sent = body()
    answer = await ask(client, sent, key := secrets.token_hex(8))
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made["status"] == {"state": "authorised", "settled": False, "review": None}
    assert (made["freight"], made["location"]) == ("seller", "north")
    assert made["lines"][0]["counters"] == {
        "unit": "EA", "asked": "2", "received": "0", "dispositioned": "0", "refused": "0", "credited": "0",
    }  # fmt: skip
    replayed = await ask(client, sent, key)
    assert (replayed.content, replayed.headers["idempotent-replayed"]) == (answer.content, "true")
    assert (await ask(client, sent)).json()["id"] == made["id"], "another key, the same reference: one return"
    assert (await client.get(answer.headers["location"])).json() == made
    other = await ask(client, {**sent, "lines": body("1")["lines"]})
    assert (other.status_code, other.json()["code"]) == (409, "operation.action_reused")


async def test_what_cannot_come_back_is_refused_with_where_and_why(client):
    much = await ask(client, body(lines=[{"line": 2, "quantity": {"amount": "6"}, "reason": "damaged"}]))
    assert (much.status_code, much.json()["code"]) == (409, "return.beyond_shipped")
    assert much.json()["errors"] == [
        {"detail": "line 2: 6 asked, 5 of it left to return", "pointer": "/lines/0/quantity/amount"}
    ]
    for changed, status, code in (
        ({"lines": [{"line": 9, "quantity": {"amount": "1"}, "reason": "damaged"}]}, 409, "return.line_unknown"),
        ({"lines": [{"line": 1, "quantity": {"amount": "1"}, "reason": "mood"}]}, 409, "return.reason_unknown"),
        ({"lines": [{"line": 1, "quantity": {"amount": "1.5"}, "reason": "damaged"}]}, 409, "return.not_exact"),
        ({"order_id": "ord_01kaj7q5wzf8m0e3r6t9y2b4c8"}, 404, "order.not_found"),
    ):
        answer = await ask(client, body(**changed))
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


async def test_returns_are_paged_and_cancelled_before_anything_came(client):
    made = [(await ask(client, body("1"))).json()["id"] for _ in range(3)]
    pages, cursor = [], None
    for _ in range(3):
        page = (await client.get(_RETURNS, params={"limit": 1, **({"cursor": cursor} if cursor else {})})).json()
        pages += [each["id"] for each in page["items"]]
        cursor = page["next_cursor"]
    assert pages == made[::-1]
    headers = {"Idempotency-Key": secrets.token_hex(8)}
    cancelled = await client.post(f"{_RETURNS}/{made[0]}/cancellation", json={"reason": "kept"}, headers=headers)
    assert (cancelled.status_code, cancelled.json()["status"]["state"]) == (200, "cancelled")
    listed = (await client.get(_RETURNS, params={"state": "cancelled", "order": SHIPPED})).json()["items"]
    assert made[0] in [each["id"] for each in listed]


async def test_another_partner_is_told_the_same_of_it_as_of_nothing(gateway: RunningGateway, client):
    made = (await ask(client, body())).json()["id"]
    async with gateway.client(gateway.second.api_key) as stranger:
        theirs = await stranger.get(f"{_RETURNS}/{made}")
        asked = await ask(stranger, body())
        listed = (await stranger.get(_RETURNS, params={"order": SHIPPED})).json()
    assert (theirs.status_code, theirs.json()["code"]) == (404, "return.not_found")
    assert (asked.status_code, asked.json()["code"]) == (404, "order.not_found")
    assert listed == {"items": [], "next_cursor": None}


async def test_the_stream_tells_returns_to_whoever_may_read_them(gateway: RunningGateway, client):
    before = (await client.get("/storefront/v2/events")).text
    last = before.rpartition("id: ")[2].partition("\n")[0]
    made = (await ask(client, body())).json()["id"]
    told = ""
    for _ in range(50):  # a stream ends after a moment; what it had not heard by then, the next one tells
        params, headers = {"type": "return.updated"}, {"Last-Event-ID": last}
        told = (await client.get("/storefront/v2/events", params=params, headers=headers)).text
        if made in told:
            break
    assert made in told
    assert "event: return.updated" in told
    assert "order.updated" not in told

    async def orders_only(connection: Connection, ring: KeyRing) -> str:
        scopes = ("orders:read", "availability:read")
        made = await add_client(
            connection, ring, tenant=TENANT, name="orders only", kind=ClientKind.PARTNER, scopes=scopes,
            partner=gateway.first.partner_id,
        )  # fmt: skip
        return await add_api_key(connection, ring, tenant=TENANT, client_id=made.client_id, environment="live")

    key = await administer(load_settings(gateway.settings_path), orders_only)
    async with gateway.client(key) as narrow:
        assert made not in (await narrow.get("/storefront/v2/events", headers={"Last-Event-ID": last})).text
        refused = await narrow.get("/storefront/v2/events", params={"type": "return.updated"})
    assert (refused.status_code, refused.json()["code"]) == (403, "authorise.scope")
