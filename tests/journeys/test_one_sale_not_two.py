"""Whatever happens between us and a real Tryton while it makes a sale: one sale remains, and the order goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from decimal import Decimal
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from gateway.kernel.secrets import resolve_secret
from gateway.plays.checkers.evidence import lines
from gateway.plays.checkers.tryton import Tryton
from gateway.plays.partner_client import PartnerClient
from gateway.plays.stack import Stack
from gateway.settings import load_settings
from tests.journeys.holding_proxy import Deliver, HoldingProxy, Interference

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("stack"), pytest.mark.timeout(400)]

CREATE, CONFIRM = "model.sale.sale.create", "model.sale.sale.confirm"
CALL_SECONDS = 3.0
SETTLE_SECONDS = 2.0  # of the sandbox
PATIENCE = 60.0
_numbers = count(1)
_skus = (f"SKU-{number:04d}" for number in range(130, 145))


class Buyer:
    """One order for two pieces of an article that nobody else in this session orders, and the books about it."""

    def __init__(self, stack: Stack, client: PartnerClient) -> None:
        assert stack.demo is not None
        self.stack, self.demo, self._client = stack, stack.demo, client
        self.number, self.sku, self.order = f"one-sale-{next(_numbers):02d}", next(_skus), ""
        self.erp = Tryton(self.demo.tryton.url, self.demo.tryton.database, "admin",
                          self.demo.tryton.admin_password.reveal())  # fmt: skip
        self.before = self.quantity()

    def quantity(self) -> Decimal:
        return Decimal(self.erp.quantities([self.sku], ["WH-N"])[self.sku])

    async def place(self) -> str:
        async def in_stock() -> bool:
            return await self._client.availability(self.sku) == 140

        await eventually(in_stock, f"the opening stock of {self.sku} is known")
        ship_to = {
            "name": "Harbor Outfitters", "street": "12 Quay Street", "city": "Portland", "postal_code": "04101",
            "country": "US",
        }  # fmt: skip
        body = {
            "external_number": self.number,
            "ship_to": ship_to,
            "lines": [{"sku": self.sku, "quantity": "2"}],
        }
        answer = await self._client.call(
            "order", "POST", "/storefront/v1/orders", body=body, headers={"Idempotency-Key": self.number}
        )
        assert answer.status_code == 201, answer.text
        self.order = answer.json()["id"]
        return self.order

    async def until(self, state: str) -> None:
        async def reached() -> bool:
            answer = await self._client.call("monitor", "GET", f"/storefront/v1/orders/{self.order}/monitor")
            return answer.status_code == 200 and answer.json()["state"] == state

        await eventually(reached, f"{self.order} is {state}")

    async def ship(self) -> None:
        lines = [{"line_number": 1, "quantity": "2"}]
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(
                f"{self.demo.warehouses['wms_north'].url}/_control/ship",
                json={"client_reference": self.order, "lines": lines},
            )
        assert answer.status_code == 200, answer.text

    def sales(self) -> list[str]:
        """States of every sale under our reference, cancelled ones too."""
        return [sale["state"] for sale in self.erp.read("sale.sale", [["reference", "=", self.order]], ["state"])]

    async def ends_with_one_sale(self) -> None:
        """The order goes on to its end, and Tryton, the warehouse and the record tell of one sale and two pieces."""
        await self.until("released")
        await self.ship()
        await self.until("completed")
        sales = self.erp.read("sale.sale", [["reference", "=", self.order], ["state", "!=", "cancelled"]], ["state"])
        assert len(sales) == 1, self.sales()
        domain = [["origin.sale.reference", "=", self.order, "sale.line"], ["to_location.type", "=", "customer"]]
        moves = self.erp.read("stock.move", [*domain, ["state", "!=", "cancelled"]], ["quantity", "state"])
        assert [(move["quantity"], move["state"]) for move in moves] == [(2, "done")]
        assert self.quantity() == self.before - 2
        released = [
            entry
            for entry in lines(str(self.demo.folder / "wms_north" / "received.jsonl"))
            if entry["method"] == "POST" and entry["status"] == 201 and self.order in entry["body"]
        ]
        assert len(released) == 1
        assert await self._record() == {"orders": 1, "shipped": 2, "promised": 0, "exceptions": 0}

    async def _record(self) -> dict[str, Any]:
        settings = load_settings(self.stack.settings_path)
        connection = await asyncpg.connect(resolve_secret(settings.store.url, setting="store.url").reveal())
        row = await connection.fetchrow(
            """select (select count(*) from order_to_ship.sales_order where external_number = $1)::int as orders,
                      (select sum(shipped) from order_to_ship.line where order_id = $2)::int as shipped,
                      (select sum(amount - consumed - released) from availability.claim where order_id = $2)::int
                          as promised,
                      (select count(*) from order_to_ship.exception
                       where order_id = $2 and state = 'open')::int as exceptions""",
            self.number,
            self.order,
        )
        await connection.close()
        return dict(row)


async def eventually(holds: Callable[[], Coroutine[Any, Any, bool]], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not await holds():
        assert time.monotonic() < end, f"not within {PATIENCE:.0f} s: {what}"
        await asyncio.sleep(0.1)


async def within_patience(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), PATIENCE)


@pytest.fixture(scope="module")
async def proxy(stack: Stack) -> AsyncIterator[HoldingProxy]:
    """The worker speaks to Tryton through this, and gives a call up after `CALL_SECONDS`."""
    assert stack.demo is not None
    tryton = stack.demo.tryton.url
    kept = stack.settings_path.read_text(encoding="utf-8")
    async with HoldingProxy(urlsplit(tryton).port or 0) as proxy:
        changed = kept.replace(tryton, proxy.url).replace("[orders]\n", f"[orders]\ncall_seconds = {CALL_SECONDS}\n")
        assert changed.count(proxy.url) == 1
        assert "call_seconds" in changed
        await _work_with(stack, changed)
        yield proxy
        await _work_with(stack, kept)


async def _work_with(stack: Stack, settings: str) -> None:
    stack.settings_path.write_text(settings, encoding="utf-8")
    await stack.kill("worker")
    await stack.restart("worker")


@pytest.fixture
async def buy(stack: Stack, proxy: HoldingProxy) -> AsyncIterator[Callable[[], Buyer]]:
    assert stack.demo is not None
    async with PartnerClient(stack.gateway_url, stack.demo.credentials()) as client:
        yield lambda: Buyer(stack, client)
    proxy.behave()


def die_with_the_answer(seam: asyncio.Event) -> Interference:
    """The first answer of Tryton goes nowhere: the worker is killed while it waits for it."""

    async def interfere(deliver: Deliver) -> bytes | None:
        answer = await deliver()
        if seam.is_set():
            return answer
        seam.set()
        await asyncio.Event().wait()
        return None

    return interfere


@pytest.mark.parametrize(
    ("method", "state"), [(CREATE, "draft"), pytest.param(CONFIRM, "processing", marks=pytest.mark.long)]
)
async def test_a_worker_killed_after_tryton_did_it_and_before_that_was_recorded_makes_no_second_sale(
    stack, proxy, buy, method, state
):
    buyer, seam = buy(), asyncio.Event()
    proxy.interfere(method, buyer.number if method == CREATE else "", die_with_the_answer(seam))
    await buyer.place()
    await within_patience(seam)
    assert buyer.sales() == [state]
    await stack.kill("worker")
    await stack.restart("worker")
    await buyer.ends_with_one_sale()
    assert buyer.sales() == ["processing"]


async def test_a_request_held_past_our_timeout_and_done_before_we_look_is_the_one_sale(proxy, buy):
    buyer = buy()

    async def hold(deliver: Deliver) -> bytes | None:
        await asyncio.sleep(CALL_SECONDS + SETTLE_SECONDS / 2)
        return await deliver()

    proxy.interfere(CREATE, buyer.number, hold)
    await buyer.place()
    await buyer.ends_with_one_sale()
    assert buyer.sales() == ["processing"]


@pytest.mark.parametrize("first", ["the held one", pytest.param("the retry", marks=pytest.mark.long)])
async def test_a_request_held_until_we_try_again_leaves_one_sale(proxy, buy, first):
    """Tryton gets both, after our look found nothing."""
    buyer, retried, done = buy(), asyncio.Event(), asyncio.Event()

    async def hold(deliver: Deliver) -> bytes | None:
        if retried.is_set():
            return await deliver()
        if not buyer_waits.is_set():
            buyer_waits.set()
            await within_patience(retried)
            if first == "the retry":
                await within_patience(done)
            answer = await deliver()
            done.set()
            return answer
        retried.set()
        if first == "the held one":
            await within_patience(done)
        answer = await deliver()
        done.set()
        return answer

    buyer_waits = asyncio.Event()
    proxy.interfere(CREATE, buyer.number, hold)
    await buyer.place()
    await within_patience(done)
    await buyer.ends_with_one_sale()
    assert sorted(buyer.sales()) == ["cancelled", "processing"]


@pytest.mark.parametrize("method", [CREATE, pytest.param(CONFIRM, marks=pytest.mark.long)])
async def test_an_answer_that_is_lost_is_looked_up(proxy, buy, method):
    buyer, lost = buy(), asyncio.Event()

    async def lose(deliver: Deliver) -> bytes | None:
        answer = await deliver()
        if lost.is_set():
            return answer
        lost.set()
        return None

    proxy.interfere(method, buyer.number if method == CREATE else "", lose)
    await buyer.place()
    await buyer.ends_with_one_sale()
    assert lost.is_set()
    assert buyer.sales() == ["processing"]


@pytest.mark.parametrize(
    "when",
    ["at once", pytest.param("while we work on the first", marks=pytest.mark.long), "after the release"],
)
async def test_a_network_that_delivers_twice_leaves_one_sale(proxy, buy, when):
    buyer, again = buy(), asyncio.Event()
    second: list[asyncio.Task[bytes]] = []

    async def twice(deliver: Deliver) -> bytes | None:
        async def later() -> bytes:
            await within_patience(again)
            return await deliver()

        if when == "at once":
            await deliver()  # the elder is the one that we know nothing of
        elif when == "while we work on the first":
            second.append(asyncio.create_task(deliver()))
        else:
            second.append(asyncio.create_task(later()))
        return await deliver()

    proxy.interfere(CREATE, buyer.number, twice)
    await buyer.place()
    if when == "after the release":
        await buyer.until("released")
        again.set()
        await second[0]
        assert sorted(buyer.sales()) == ["draft", "processing"]
    await buyer.ends_with_one_sale()
    assert sorted(buyer.sales()) == ["cancelled", "processing"]
