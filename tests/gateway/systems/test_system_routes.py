import pytest

from gateway.systems.manifest import load_manifest
from gateway.systems.system_routes import product_routes, system_routes

from .conftest import EXACT, alone

ORDER = {
    "reference": "ord_1",
    "sold_to": "CUST/1",
    "external_number": "PO 1",
    "currency": "USD",
    "placed_at": "2026-11-21T10:00:00Z",
    "ship_to": {"name": "Zoë", "street": "1 Main", "city": "X", "postal_code": "1", "country": "US"},
    "lines": [
        {"line": 1, "sku": "SKU/1 #é", "amount": "0.000000001", "uom": "EA", "unit_price": "1.5", "location": "north"}
    ],
}


@pytest.fixture
def api(directory, behind_the_door):
    routes = [handler for handlers in system_routes(directory, alone).values() for handler in handlers]
    return behind_the_door(routes)


async def test_what_a_manifest_declares_is_served_and_nothing_else(api):
    table, _ = api
    served = {route.template.split("}/")[1] for route in table.routes if "tryton" in route.template}
    assert served == {
        "health", "items", "stock", "customers", "customer-list", "demand", "orders", "order-cancellations",
        "shipment-postings",
    }  # fmt: skip
    served = {route.template.split("}/")[1] for route in table.routes if "regional-wms" in route.template}
    assert served == {"health", "items", "stock", "movements", "work-orders", "work-order-cancellations"}


async def test_every_route_says_what_it_asks_of_the_door(api):
    for route in api[0].routes:
        assert (route.zone, route.version) == ("system", "v1")
        assert route.scopes == ({"system:write"} if route.method == "POST" else {"system:read"})
        assert route.idempotency == ("optional" if route.method == "POST" else "none")


def test_the_contract_of_a_product_needs_no_configured_instance(directory):
    assert len(product_routes(load_manifest("tryton"), directory, alone)) == 11


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("health", {"instance": "erp", "status": "up"}),
        ("stock?location=WH-N", {"amount": str(EXACT), "location": "WH-N", "bucket": "sellable"}),
        ("customers?code=CUST%2F1", {"code": "CUST/1", "credit_limit": {"amount": "500", "currency": "USD"}}),
        ("demand", {"amount": str(EXACT), "due": "2026-12-01"}),
    ],
)
async def test_reads_answer_in_exact_decimals_and_the_systems_codes(api, path, told):
    answer = await api[1].get(f"/system/tryton/v1/erp/{path}")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    row = (body.get("figures") or body.get("items") or [body])[0]
    assert {key: row[key] for key in told} == told


async def test_items_page_by_cursor(api):
    first = (await api[1].get("/system/tryton/v1/erp/items?limit=1")).json()
    assert first["items"][0]["sku"] == "SKU/1 #é"
    assert first["items"][0]["list_price"]["amount"] == str(EXACT)
    second = await api[1].get("/system/tryton/v1/erp/items", params={"cursor": first["next_cursor"]})
    assert second.json()["next_cursor"] is None


async def test_an_order_sent_twice_is_one_and_speaks_our_location_codes(api, erp):
    for _ in range(2):
        answer = await api[1].post("/system/tryton/v1/erp/orders", json=ORDER)
        assert answer.status_code == 201, answer.text
        assert answer.json()["shipments"][0]["location"] == "north"
    assert len(erp.submitted) == 1
    assert erp.submitted[0].lines[0].location == "WH-N"
    assert str(erp.submitted[0].lines[0].amount) == "1E-9"
    found = await api[1].get("/system/tryton/v1/erp/orders", params={"reference": "ord_1"})
    assert found.json()["shipments"][0]["lines"][0]["amount"] == "0.000000001"


async def test_work_and_postings_are_written_once(api, wms_memory, erp):
    work = await api[1].post(
        "/system/regional-wms/v1/wms_north/work-orders", json={"order": ORDER, "location": "north"}
    )
    assert work.json() == {"reference": "ord_1", "number": "W1", "state": "released"}
    assert wms_memory.released[0][1] == "NOR1"
    posting = {
        "reference": "ord_1",
        "posting": "pst_1",
        "location": "north",
        "lines": [{"line": 1, "item": "SKU/1", "amount": "2"}],
    }
    for _ in range(2):
        made = await api[1].post("/system/tryton/v1/erp/shipment-postings", json=posting)
        assert (made.status_code, made.json()["location"]) == (201, "north")
    assert len(erp.postings) == 1
    cancelled = await api[1].post("/system/tryton/v1/erp/order-cancellations", json={"reference": "ord_1"})
    assert (cancelled.status_code, cancelled.json()["cancelled"]) == (200, True)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("tryton/v1/wms_north/health", 404, "system.not_found"),
        ("tryton/v1/no_such/health", 404, "system.not_found"),
        ("tryton/v1/erp/customers?code=X", 404, "erp.customer_not_found"),
        ("tryton/v1/erp/orders?reference=none", 404, "system.order_not_found"),
        ("regional-wms/v1/wms_north/work-orders?reference=none", 404, "system.work_not_found"),
    ],
)
async def test_what_is_not_there_is_told_by_code(api, path, status, code):
    answer = await api[1].get(f"/system/{path}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    "change",
    [
        {"colour": "blue"},
        {"placed_at": "2026-11-21T10:00:00"},
        {"lines": []},
        {"lines": [{**ORDER["lines"][0], "amount": "0"}]},
        {"lines": [{**ORDER["lines"][0], "amount": "NaN"}]},
        {"lines": [{**ORDER["lines"][0], "amount": 1.5}]},
        {"currency": "USD\n"},
    ],
)
async def test_a_body_that_does_not_fit_reaches_no_system(api, erp, change):
    answer = await api[1].post("/system/tryton/v1/erp/orders", json={**ORDER, **change})
    assert answer.status_code == 422
    assert erp.submitted == []
