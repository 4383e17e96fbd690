"""Events over the wire: two workers, a record that fills while clients come and go."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
from running_gateway import SKUS, TENANT, RunningGateway

from gateway.app import administer
from gateway.canonical.capabilities import Connection
from gateway.identity.clients import revoke_api_key, revoke_tokens
from gateway.identity.partners import PartnerCredentials, add_partner
from gateway.identity.plans import add_plan
from gateway.kernel.keyring import KeyRing
from gateway.settings import load_settings

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("contract")]

PATH = "/storefront/v2/events"
PATIENCE = 60


@pytest.fixture
def gateway(gateway_of_two: RunningGateway) -> RunningGateway:
    """Two workers, whose streams do not end by themselves."""
    return gateway_of_two


class Listener:
    """An event source (HTML Living Standard, section 9.2): what it was told, and the last id it saw."""

    def __init__(self, gateway: RunningGateway, key: str, *, scheme: str = "") -> None:
        self._gateway = gateway
        self._credential = {"Authorization": f"{scheme} {key}"} if scheme else {"X-Api-Key": key}
        self.last = ""
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.ended = False

    async def listen(self) -> None:
        headers = {**self._credential, "Accept": "text/event-stream"}
        if self.last:
            headers["Last-Event-ID"] = self.last
        async with (
            httpx.AsyncClient(base_url=self._gateway.url, trust_env=False, timeout=PATIENCE) as client,
            client.stream("GET", PATH, headers=headers) as answer,
        ):
            assert answer.status_code == 200, await answer.aread()
            assert answer.headers["content-type"] == "text/event-stream"
            assert answer.headers["cache-control"] == "no-store"
            async for part in answer.aiter_text():
                self._take(part)
        self.ended = True

    _rest = ""

    def _take(self, text: str) -> None:
        *events, self._rest = (self._rest + text).split("\n\n")
        for event in events:
            fields = dict(line.split(": ", 1) for line in event.splitlines() if not line.startswith(":"))
            self.last = fields.get("id", self.last)
            if "data" in fields:
                self.told.append((fields["event"], json.loads(fields["data"])))

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Listener]:
        """Listening inside the block, from the moment that it has an id on."""
        self._rest = ""
        self._listening = task = asyncio.create_task(self.listen())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def settled(self) -> None:
        """Until it was told an id, or refused."""
        await self.until(lambda listener: listener.last or listener._listening.done())

    async def until(self, fulfilled: Any) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                if fulfilled(self):
                    return
                await asyncio.sleep(0.02)

    @property
    def orders(self) -> list[str]:
        return [data["data"]["external_number"] for name, data in self.told if name == "order.updated"]


def has_id(listener: Listener) -> bool:
    return bool(listener.last)


async def order(client: httpx.AsyncClient) -> str:
    """A new order's number."""
    number = f"E-{secrets.token_hex(6)}"
    address = {"name": "A", "street": "B 1", "city": "C", "postal_code": "1", "country": "US"}
    lines = [{"sku": SKUS[1], "quantity": {"amount": "1", "unit": "EA"}}]
    body = {"external_number": number, "delivery": {"ship_to": address}, "lines": lines}
    answer = await client.post("/storefront/v2/orders", json=body, headers={"Idempotency-Key": number})
    assert answer.status_code == httpx.codes.CREATED, answer.text
    return number


async def test_order_events_are_seen_once_and_in_order_across_reconnections_and_by_nobody_else(gateway):
    mine, other = Listener(gateway, gateway.first.api_key), Listener(gateway, gateway.second.api_key)
    placed = []
    async with gateway.client() as client, other.connected():
        await other.until(has_id)
        for _ in range(3):
            async with mine.connected():
                await mine.until(has_id)
                placed += [await order(client) for _ in range(4)]
                await mine.until(lambda listener: len(listener.orders) >= 2)
            placed += [await order(client) for _ in range(3)]  # while nobody listens
        async with mine.connected():
            await mine.until(lambda listener: len(listener.orders) >= len(placed))
            mark = await order(client)
            await mine.until(lambda listener: mark in listener.orders)
        assert mine.orders == [*placed, mark]
        await other.until(lambda listener: any(name == "availability.changed" for name, _ in listener.told))
    assert other.orders == []
    kinds = {data["type"]: set(data) for _, data in mine.told}
    assert kinds["availability.changed"] == {"type", "api_version", "timestamp", "data"}
    asked = [data["data"]["item"]["sku"] for name, data in mine.told if name == "availability.changed"]
    assert set(asked) == {SKUS[1]}


async def test_an_id_of_another_partner_opens_nothing(gateway):
    mine = Listener(gateway, gateway.first.api_key)
    async with mine.connected():
        await mine.until(has_id)
    async with gateway.client(gateway.second.api_key) as client:
        answer = await client.get(PATH, headers={"Last-Event-ID": mine.last})
    assert (answer.status_code, answer.json()["code"]) == (404, "events.last_event_id")


async def test_a_revoked_credential_ends_its_streams_and_no_other(gateway):
    async def add(connection: Connection, ring: KeyRing) -> PartnerCredentials:
        return await add_partner(
            connection, ring, tenant=TENANT, name="Leaving", channel="web", plan="standard", accounts=["L"]
        )

    settings = load_settings(gateway.settings_path)
    leaving = await administer(settings, add)
    async with gateway.client("") as client:
        granted = await client.post(
            "/oauth2/token",
            auth=(leaving.client_id, leaving.client_secret),
            data={"grant_type": "client_credentials"},
        )
    token = granted.json()["access_token"]
    by_key, stays = Listener(gateway, leaving.api_key), Listener(gateway, gateway.first.api_key)
    by_token = Listener(gateway, token, scheme="Bearer")
    async with by_key.connected(), by_token.connected(), stays.connected():
        for listener in (by_key, by_token, stays):
            await listener.until(has_id)

        async def revoke(connection: Connection, _: KeyRing) -> None:
            who = {"tenant": TENANT, "client_id": leaving.client_id}
            await revoke_api_key(connection, **who, key_id=leaving.api_key.split("_")[2])
            await revoke_tokens(connection, **who)

        await administer(settings, revoke)
        await by_key.until(lambda listener: listener.ended)
        await by_token.until(lambda listener: listener.ended)
        assert not stays.ended
    async with gateway.client(leaving.api_key) as client:
        assert (await client.get(PATH)).status_code == 401


async def test_a_plan_bounds_the_streams_of_a_partner_on_all_workers(gateway):
    settings = load_settings(gateway.settings_path)

    async def add(connection: Connection, ring: KeyRing) -> PartnerCredentials:
        limits = {"default": {"rate": "1000000/minute", "burst": 100000}, "streams": 3}
        await add_plan(connection, tenant=TENANT, name="few streams", description="", limits=limits)
        return await add_partner(
            connection, ring, tenant=TENANT, name="Busy", channel="web", plan="few streams", accounts=["B"]
        )

    busy = await administer(settings, add)
    listeners = [Listener(gateway, busy.api_key) for _ in range(3)]
    async with AsyncExitStack() as stack:
        for listener in listeners:
            await stack.enter_async_context(listener.connected())
            await listener.until(has_id)
        async with gateway.client(busy.api_key) as client, asyncio.timeout(PATIENCE):
            status = 200
            while status == 200:  # until the worker has heard of the plan; the fallback plan allows more
                async with client.stream("GET", PATH) as refused:
                    status = refused.status_code
                    body = await refused.aread() if status != 200 else b""
        assert (refused.status_code, json.loads(body)["code"]) == (429, "events.too_many_streams")
        assert int(refused.headers["retry-after"]) > 0
    again = Listener(gateway, busy.api_key)
    async with asyncio.timeout(PATIENCE):
        while not again.last:
            async with again.connected():
                await again.settled()  # a place may take a moment to be given back


@pytest.mark.parametrize(
    ("query", "status"),
    [("type=nothing", 400), ("sku=NO-SUCH", 404), ("limit=1", 400)],
    ids=["type", "article", "unknown"],
)
async def test_what_cannot_be_followed_is_refused(gateway, query, status):
    async with gateway.client() as client:
        answer = await client.get(f"{PATH}?{query}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
