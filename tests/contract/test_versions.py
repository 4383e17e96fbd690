"""Two versions of the storefront side by side: what each refuses, what both share, and what the older one tells."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import jsonschema_rs
import pytest
import yaml
from running_gateway import SKUS, TENANT, RunningGateway
from schemathesis_run import CONTRACTS

from gateway.app import Core
from gateway.cli import main
from gateway.kernel.secrets import resolve_secret
from gateway.settings import load_settings
from process_apis.partner_notifications.models import Message

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("contract")]

VERSIONS = ("v1", "v2")
SHIP_TO = {"name": "A", "street": "B 1", "city": "C", "postal_code": "1", "country": "US"}
each_version = pytest.mark.parametrize("version", VERSIONS)


def orders(version: str) -> str:
    return f"/storefront/{version}/orders"


def key() -> dict[str, str]:
    return {"Idempotency-Key": f'"{uuid4()}"'}


def an_order(version: str, *lines: tuple[str, str, str | None], **changes: Any) -> dict[str, Any]:
    """The same order in either version's shape; a line is (sku, amount, unit)."""
    asked = lines or (("SKU-0001", "1", None),)
    number = {"external_number": f"PO-{uuid4()}"}
    if version == "v1":
        shaped = [{"sku": sku, "quantity": amount, **({"unit": unit} if unit else {})} for sku, amount, unit in asked]
        return {**number, "ship_to": SHIP_TO, "lines": shaped, **changes}
    shaped = [
        {"sku": sku, "quantity": {"amount": amount, **({"unit": unit} if unit else {})}} for sku, amount, unit in asked
    ]
    return {**number, "delivery": {"ship_to": SHIP_TO}, "lines": shaped, **changes}


def pointers(problem: dict[str, Any]) -> list[str]:
    return [error["pointer"] for error in problem["errors"]]


@each_version
@pytest.mark.parametrize(
    ("line", "in_v1", "in_v2"),
    [
        (("nothing/#", "1", None), "/lines/0/sku", "/lines/0/sku"),
        (("SKU-0001", "1", "KGM"), "/lines/0/unit", "/lines/0/quantity/unit"),
    ],
)
async def test_a_refusal_points_into_the_body_that_was_sent(gateway: RunningGateway, version, line, in_v1, in_v2):
    async with gateway.client() as client:
        refused = await client.post(orders(version), json=an_order(version, line), headers=key())
    assert refused.status_code == 409, refused.text
    assert refused.json()["code"] == "order.lines_invalid"
    assert pointers(refused.json()) == [in_v1 if version == "v1" else in_v2]


@each_version
async def test_a_body_of_the_other_version_does_not_fit(gateway: RunningGateway, version):
    other = VERSIONS[1 - VERSIONS.index(version)]
    async with gateway.client() as client:
        refused = await client.post(orders(version), json=an_order(other), headers=key())
    assert (refused.status_code, refused.json()["code"]) == (422, "request.body_invalid")


@each_version
@pytest.mark.parametrize("sku", SKUS)
async def test_articles_with_any_number_are_found_and_ordered(gateway: RunningGateway, version, sku):
    async with gateway.client() as client:
        figure = (await client.get(f"/storefront/{version}/availability", params={"sku": sku})).json()
        placed = await client.post(orders(version), json=an_order(version, (sku, "2", "CS")), headers=key())
    item = figure if version == "v1" else figure["item"]
    assert item["sku"] == sku
    assert placed.status_code == 201, placed.text
    line = placed.json()["lines"][0]
    assert (line["ordered"] if version == "v1" else line["counters"]["ordered"]) == "24"
    if version == "v2":
        assert line["quantity"] == {"amount": "2", "unit": "CS"}


async def test_the_second_version_tells_where_the_goods_would_come_from(gateway: RunningGateway):
    async with gateway.client() as client:
        first, second = [
            (await client.get(f"/storefront/{version}/availability", params={"sku": "SKU-0004"})).json()
            for version in VERSIONS
        ]
    whole = second["available_to_sell"]
    assert whole == {"amount": first["available_to_sell"], "unit": "EA"}
    assert second["locations"] == [{"location": "north", "available_to_sell": whole}]
    assert second["freshness"]["confidence"] == first["confidence"]


@each_version
async def test_an_order_of_one_version_is_read_followed_and_cancelled_on_the_other(gateway: RunningGateway, version):
    other = VERSIONS[1 - VERSIONS.index(version)]
    async with gateway.client() as client:
        order = an_order(version, ("SKU-0001", "1", "CS"), ("SKU-0002", "3", None))
        placed = await client.post(orders(version), json=order, headers=key())
        number = placed.json()["id"]
        assert placed.headers["location"] == f"{orders(version)}/{number}"
        read = [(await client.get(f"{orders(name)}/{number}")).json() for name in VERSIONS]
        monitors = [(await client.get(f"{orders(name)}/{number}/monitor")).json() for name in VERSIONS]
        cancelled = await client.post(f"{orders(other)}/{number}/cancellation", json={"reason": "other"}, headers=key())
        after = [(await client.get(f"{orders(name)}/{number}")).json() for name in VERSIONS]
    for name in ("id", "external_number", "account", "placed_at", "total", "version"):
        assert read[0][name] == read[1][name]
    assert read[0]["state"] == read[1]["status"]["state"] == "promised"
    for old, new in zip(read[0]["lines"], read[1]["lines"], strict=True):
        counters = {name: new["counters"][name] for name in ("ordered", "open", "shipped", "cancelled", "backordered")}
        assert counters == {name: old[name] for name in counters}
        assert new["item"] == {"id": old["item_id"], "sku": old["sku"]}
    assert read[1]["delivery"] == {"ship_to": SHIP_TO, "requested_date": None, "fill": "complete"}
    assert read[1]["shipments"] == []
    assert monitors[0]["events"] == monitors[1]["events"]
    assert cancelled.status_code == 202
    assert after[0]["state"] == after[1]["status"]["state"]


@each_version
async def test_an_order_sent_again_on_the_other_version_stays_one_order(gateway: RunningGateway, version):
    other = VERSIONS[1 - VERSIONS.index(version)]
    same = {"external_number": f"PO-{uuid4()}"}
    async with gateway.client() as client:
        first = await client.post(orders(version), json=an_order(version, **same), headers=key())
        again = await client.post(orders(other), json=an_order(other, **same), headers=key())
        changed = an_order(other, ("SKU-0001", "2", None), **same)
        clashing = await client.post(orders(other), json=changed, headers=key())
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    assert (clashing.status_code, clashing.json()["code"]) == (409, "order.number_reused")


@each_version
async def test_twenty_repetitions_at_once_make_one_order(gateway: RunningGateway, version):
    order, same = an_order(version), key()
    async with gateway.client() as client:
        answers = await asyncio.gather(*(client.post(orders(version), json=order, headers=same) for _ in range(20)))
    made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    assert len(made) == 1
    assert {answer.status_code for answer in answers} <= {201, 409}


@each_version
async def test_nobody_reads_or_cancels_the_order_of_another(gateway: RunningGateway, version):
    async with gateway.client() as first, gateway.client(gateway.second.api_key) as second:
        number = (await first.post(orders(version), json=an_order(version), headers=key())).json()["id"]
        for name in VERSIONS:
            answers = [
                await second.get(f"{orders(name)}/{number}"),
                await second.get(f"{orders(name)}/{number}/monitor"),
                await second.post(f"{orders(name)}/{number}/cancellation", json={"reason": "other"}, headers=key()),
            ]
            assert {answer.status_code for answer in answers} == {404}
            assert number not in (await second.get(orders(name), params={"limit": 100})).text
        assert (await first.get(f"{orders('v2')}/{number}")).json()["status"]["cancelling"] is False


async def test_orders_are_listed_by_state_on_the_second_version(gateway: RunningGateway):
    async with gateway.client() as client:
        number = (await client.post(orders("v2"), json=an_order("v2"), headers=key())).json()["id"]
        promised = (await client.get(orders("v2"), params={"state": "promised", "limit": 1})).json()["items"]
        shipped = (await client.get(orders("v2"), params={"state": "shipped"})).json()["items"]
        refused = await client.get(orders("v2"), params={"state": "lost"})
    assert [order["id"] for order in promised] == [number]
    assert number not in [order["id"] for order in shipped]
    assert (refused.status_code, refused.json()["code"]) == (400, "request.parameters")


async def test_a_webhook_has_the_shape_that_its_version_publishes(gateway: RunningGateway):
    core = Core(load_settings(gateway.settings_path))
    async with gateway.client() as client:
        order = (await client.post(orders("v1"), json=an_order("v1"), headers=key())).json()
        item = (await client.get("/storefront/v1/availability", params={"sku": "SKU-0002"})).json()["item_id"]
    async with core.opened():
        for version in VERSIONS:
            document = yaml.safe_load(CONTRACTS[version].read_text(encoding="utf-8"))
            for kind, subject in (
                ("order.updated", f"order/{order['id']}/1"),
                ("availability.changed", f"item/{item}"),
            ):
                told = await core.renderers.render(a_message(gateway, kind, subject, version), channel="web")
                schema = document["webhooks"][kind]["post"]["requestBody"]["content"]["application/json"]["schema"]
                whole = {**schema, "components": document["components"]}
                assert json.loads(told).get("api_version", "v1") == version
                jsonschema_rs.validator_for(whole, validate_formats=True).validate(json.loads(told))


def a_message(gateway: RunningGateway, kind: str, subject: str, version: str) -> Message:
    return Message(
        message="msg_1",
        tenant=TENANT,
        partner=gateway.first.partner_id,
        endpoint="whe_1",
        type=kind,
        subject=subject,
        event_type="order.accepted",
        occurred_at=datetime.now(UTC),
        correlation_id="cor_1",
        payload=None,
        attempts=1,
        version=version,
    )


# --- what the older one tells -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/storefront/v1/items", 200),
        ("GET", "/storefront/v1/items/itm_01m7yvm71hv31w2rs7zb3hfrq1", 404),
        ("GET", "/storefront/v1/nothing", 404),
        ("GET", "/storefront/v1", 404),
        ("DELETE", "/storefront/v1/orders", 405),
        ("POST", "/storefront/v1/orders", 400),
    ],
)
async def test_every_answer_of_the_deprecated_version_says_when_it_ends_and_what_follows(
    gateway: RunningGateway, method, path, status
):
    async with gateway.client() as client:
        answer = await client.request(method, path)
        newer = await client.request(method, path.replace("v1", "v2"))
    assert answer.status_code == newer.status_code == status, answer.text
    assert answer.headers["deprecation"] == "@1795219200"
    assert answer.headers["sunset"] == "Mon, 31 Jan 2028 00:00:00 GMT"
    assert '</storefront/v2>; rel="successor-version"' in answer.headers["link"]
    assert '</apis/storefront/v1>; rel="deprecation sunset"' in answer.headers["link"]
    assert not {"deprecation", "sunset"} & set(newer.headers)


async def test_a_header_selects_the_version_where_the_path_leaves_it_out(gateway: RunningGateway):
    async with gateway.client() as client:
        chosen = {
            version: await client.get(
                "/storefront/availability", params={"sku": "SKU-0001"}, headers={"Api-Version": version}
            )
            for version in VERSIONS
        }
        clashing = await client.get(orders("v1"), headers={"Api-Version": "v2"})
        unknown = await client.get("/storefront/orders", headers={"Api-Version": "v9"})
        silent = await client.get("/storefront/orders")
    assert isinstance(chosen["v1"].json()["available_to_sell"], str)
    assert isinstance(chosen["v2"].json()["available_to_sell"], dict)
    assert "deprecation" in chosen["v1"].headers
    assert all("api-version" in answer.headers["vary"].lower() for answer in chosen.values())
    assert (clashing.status_code, clashing.json()["code"]) == (400, "request.version")
    assert {unknown.status_code, silent.status_code} == {404}


async def test_the_catalogue_leads_to_what_each_version_is_and_to_its_contract(gateway: RunningGateway):
    async with gateway.client("") as anybody:
        linkset = (await anybody.get("/.well-known/api-catalog")).json()["linkset"]
        entries = {entry["anchor"]: entry for entry in linkset}
        meta = (await anybody.get(entries["/storefront/v1"]["service-meta"][0]["href"])).json()
        contract = await anybody.get(entries["/storefront/v2"]["service-desc"][0]["href"])
        internal = await anybody.get(entries["/process/items/v1"]["service-meta"][0]["href"])
    assert (meta["successor"], meta["sunset_at"]) == ("/storefront/v2", "2028-01-31T00:00:00Z")
    assert "unit" in meta["notice"]
    assert internal.json()["business_owner"] == "Operations"
    assert "service-desc" not in entries["/process/items/v1"]
    assert contract.headers["content-type"] == "application/yaml"
    assert yaml.safe_load(contract.text)["info"]["version"] == "2.0.0"


async def test_who_still_calls_which_version_can_be_read(gateway: RunningGateway, capsys):
    async with gateway.client() as client:
        for version in VERSIONS:
            await client.get(f"/storefront/{version}/items")
        await client.get("/storefront/v1/nothing")

    def used(*more: str) -> dict[str, dict[str, Any]]:
        status = main(["apis", "usage", "--settings", str(gateway.settings_path), "--json", *more])
        assert status == 0
        found = json.loads(capsys.readouterr().out)
        return {each["version"]: each for each in found if each["client"] == gateway.first.client_id}

    async with asyncio.timeout(60):
        while set(found := await asyncio.to_thread(used)) != set(VERSIONS):  # noqa: ASYNC110
            await asyncio.sleep(0.5)
    assert found["v1"]["partner_name"] == "First"
    assert found["v1"]["calls"] == sum(found["v1"]["days"].values()) > 0
    assert (found["v1"]["sunset_at"], found["v1"]["deprecated"]) == ("2028-01-31T00:00:00Z", True)
    assert found["v2"]["deprecated"] is False
    assert set(await asyncio.to_thread(used, "--deprecated")) == {"v1"}
    table = ["apis", "usage", "--days", "2", "--settings", str(gateway.settings_path)]
    assert await asyncio.to_thread(main, table) == 0
    assert gateway.first.client_id in capsys.readouterr().out


@each_version
async def test_an_order_and_the_answer_to_it_are_written_by_one_transaction(gateway: RunningGateway, version):
    async with gateway.client() as client:
        placed = await client.post(orders(version), json=an_order(version), headers=key())
    assert placed.status_code == 201, placed.text
    url = resolve_secret(load_settings(gateway.settings_path).store.url, setting="store.url").reveal()
    connection = await asyncpg.connect(url)
    found = await connection.fetchval(
        "select count(*) from order_to_ship.sales_order o join idempotency.record r on r.xmin::text = o.xmin::text "
        "where o.order_id = $1 and r.state = 'done'",
        placed.json()["id"],
    )
    await connection.close()
    assert found == 1
