"""The process API of orders behind Litestar, with the caller that the edge would have put there."""

from types import SimpleNamespace

import httpx
import msgspec
import pytest
from litestar import Litestar
from litestar.types import ASGIApp
from order_world import CALLER

from gateway.kernel.errors import CrossdockError
from gateway.kernel.exchange import SCOPE_KEY, Idempotency
from process_apis.order_to_ship import schemas
from process_apis.order_to_ship.recalling import order_recallers
from process_apis.order_to_ship.routes import routes

pytestmark = pytest.mark.integration
ROOT = "/process/order-to-ship/v1"
ORDER = {
    "channel": "web", "sold_to": "CUST1", "external_number": "PO-1", "currency": "USD", "partner": "P1",
    "ship_to": {"name": "A", "street": "B", "city": "C", "postal_code": "1", "country": "US"},
    "lines": [{"sku": "SKU-1", "amount": "2"}],
}  # fmt: skip


def as_caller(app: ASGIApp) -> ASGIApp:
    async def middleware(scope, receive, send):
        scope[SCOPE_KEY] = SimpleNamespace(caller=CALLER, notes={})
        await app(scope, receive, send)

    return middleware


@pytest.fixture
async def client(world):
    app = Litestar(routes(world.process), middleware=[as_caller], openapi_config=None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://crossdock") as client:
        await world.stock(100, "itm_1")
        yield client


async def test_an_order_is_placed_read_followed_listed_and_cancelled(client, world):
    placed = await client.post(f"{ROOT}/orders", json=ORDER)
    assert placed.status_code == 201
    order_id = placed.json()["id"]
    assert placed.headers["location"] == f"{ROOT}/orders/{order_id}"
    assert (await client.post(f"{ROOT}/orders", json=ORDER)).json()["id"] == order_id
    read = (await client.get(f"{ROOT}/orders/{order_id}")).json()
    assert (read["state"], read["total"], read["lines"][0]["open"]) == (
        "promised",
        {"amount": "5", "currency": "USD"},
        "2",
    )
    await world.drain(order_id)
    monitor = (await client.get(f"{ROOT}/orders/{order_id}/monitor")).json()
    assert {task["kind"]: task["state"] for task in monitor["tasks"]} == {
        "terms": "done", "erp_order": "done", "warehouse_work": "done",
    }  # fmt: skip
    listed = (await client.get(f"{ROOT}/orders", params={"state": "released", "limit": 1})).json()
    assert ([item["id"] for item in listed["items"]], listed["next_cursor"]) == ([order_id], order_id)
    assert (await client.get(f"{ROOT}/orders", params={"partner": "P2"})).json()["items"] == []
    cancelled = await client.post(f"{ROOT}/orders/{order_id}/cancellation", json={"reason": "mistake"})
    assert cancelled.status_code == 202
    assert (await world.drain(order_id)).state == "cancelled"


async def test_exceptions_are_listed_and_retried_and_holds_released(client, world):
    await world.store.execute("update fake.customer set hold = true")
    order_id = (await client.post(f"{ROOT}/orders", json=ORDER)).json()["id"]
    await world.fault("release_work", "rejected")
    await world.drain(order_id)
    assert (await client.get(f"{ROOT}/orders/{order_id}")).json()["hold_reason"] == "customer_hold"
    assert (await client.delete(f"{ROOT}/orders/{order_id}/hold", params={"reason": "agreed"})).status_code == 200
    await world.drain(order_id)
    [found] = (await client.get(f"{ROOT}/exceptions", params={"order": order_id})).json()["items"]
    assert (found["class"], found["fault_domain"], found["blocking"]) == ("refused", "wms_n", True)
    retried = await client.post(f"{ROOT}/exceptions/{found['id']}/retries")
    assert (retried.status_code, retried.json()["state"]) == (202, "resolved")
    assert (await world.drain(order_id)).state == "released"


async def test_lost_answers_are_recalled(client, world):
    recallers = order_recallers(world.process)
    body = msgspec.json.encode(ORDER)
    placing = recallers[f"POST {ROOT}/orders"]
    given = {"caller": CALLER, "idempotency_key": "k", "path_params": {}, "body": body}
    assert await placing.recall_outcome(**given) is None
    order_id = (await client.post(f"{ROOT}/orders", json=ORDER)).json()["id"]
    reply = await placing.recall_outcome(**given)
    assert (reply.status, msgspec.json.decode(reply.body)["id"]) == (201, order_id)
    cancelling = recallers[f"POST {ROOT}/orders/{{order_id}}/cancellation"]
    given = {**given, "path_params": {"order_id": order_id}}
    assert await cancelling.recall_outcome(**given) is None
    await client.post(f"{ROOT}/orders/{order_id}/cancellation", json={"reason": "mistake"})
    assert (await cancelling.recall_outcome(**given)).status == 202
    unknown = {**given, "path_params": {"order_id": "ord_00000000000000000000000000"}}
    assert await cancelling.recall_outcome(**unknown) is None


def test_every_route_that_requires_a_key_has_a_recaller():
    handlers = routes(None)
    required = {
        f"POST {path.replace(':str', '')}"
        for handler in handlers
        for path in handler.paths
        if handler.opt.get("idempotency") is Idempotency.REQUIRED
    }
    assert required == set(order_recallers(None))
    assert {handler.opt["zone"] for handler in handlers} == {"process"}


async def test_wrong_lines_are_refused_with_their_pointers(world):
    data = msgspec.convert({**ORDER, "lines": [{"sku": "?", "amount": "1"}]}, schemas.OrderInput)
    with pytest.raises(CrossdockError) as refused:
        await world.process.place_order(schemas.place_order(data, CALLER))
    assert refused.value.problems[0].pointer == "/lines/0/sku"
    for wrong in ({"amount": "1e3"}, {"amount": "NaN"}, {"amount": "1\n"}, {"sku": "a\x00"}, {"uom": "\n"}):
        line = {"sku": "SKU-1", "amount": "1", **wrong}
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({**ORDER, "lines": [line]}, schemas.OrderInput)
