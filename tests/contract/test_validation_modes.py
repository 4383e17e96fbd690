"""Validation as an operator declares it, and what the libraries beneath would have given away, over real sockets."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from running_gateway import RunningGateway
from wire import answer, request

from gateway.app import administer
from gateway.engines import EngineUrls
from gateway.explain.reading import explain
from gateway.settings import load_settings

from .conftest import running_on

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("contract")]

DECLARED = """
[validate_request.apis."storefront/v2"]
mode = "observe"

[validate_request.operations."POST /storefront/v1/availability-queries"]
limits = { items = 3, string = 20, depth = 3, digits = 9, members = 2, size = 400 }

[validate_response]
mode = "enforce"

[idempotency]
largest_reply = 200
"""
QUERIES = "/storefront/{}/availability-queries"
ORDERS = "/storefront/{}/orders"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
async def declared(urls: EngineUrls, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    """A gateway with `DECLARED`."""
    folder = tmp_path_factory.mktemp("declared")
    async with running_on("test_of_modes", urls, folder, workers=2, more=DECLARED) as running:
        yield running


async def post(gateway: RunningGateway, path: str, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with gateway.client() as client:
        return await client.post(path, content=content, headers={**JSON, **headers})


async def test_what_is_observed_passes_where_the_handler_can_be_called(declared: RunningGateway):
    misfits = {
        "unknown member": b'{"skus":["SKU-0001"],"colour":"red"}',
        "key twice": b'{"skus":[],"skus":["SKU-0001"]}',
    }
    for body in misfits.values():
        assert (await post(declared, QUERIES.format("v2"), body)).status_code == 200
        assert (await post(declared, QUERIES.format("v1"), body)).status_code in {400, 422}
    got = await post(declared, QUERIES.format("v2"), b'{"skus":["SKU-0001"]}', **{"Content-Type": "text/plain"})
    assert got.status_code == 200
    for body in (b"", b"{", b'{"skus":5}', b'{"skus":["\\ud800"]}', b"[" * 5_000):
        assert (await post(declared, QUERIES.format("v2"), body)).status_code in {400, 422}, body
    told = [
        line for line in declared.log.read_text(errors="replace").splitlines() if "does not fit its contract" in line
    ]
    assert 1 <= len(told) <= 2  # once a minute in each worker
    assert "POST /storefront/v2/availability-queries" in told[0]


async def test_an_order_that_was_only_observed_is_placed_once_and_says_so_to_explain(declared: RunningGateway):
    address = {"name": "A", "street": "B 1", "city": "C", "postal_code": "1", "country": "US"}
    lines = [{"sku": "SKU-0001", "quantity": {"amount": "1", "unit": "EA"}}]
    order = {"external_number": f"PO-{uuid4()}", "delivery": {"ship_to": address}, "lines": lines}
    key = {"Idempotency-Key": str(uuid4())}
    made = await post(declared, ORDERS.format("v2"), {**order, "colour": "red"}, **key)
    assert made.status_code == 201, made.text
    again = await post(declared, ORDERS.format("v2"), {**order, "colour": "red"}, **key)
    # Its answer is larger than what is kept here: nothing is executed, and where to look is told.
    assert again.status_code == 409
    assert again.json()["code"] == "idempotency.answer_not_kept"
    assert made.headers["location"] in again.json()["detail"]
    connection = await asyncpg.connect((declared.settings_path.parent / "postgres").read_text(encoding="utf-8"))
    count = "select count(*) from order_to_ship.sales_order where external_number = $1"
    assert await connection.fetchval(count, order["external_number"]) == 1
    await connection.close()
    explained = await explanation(declared, made.headers["x-request-id"])
    assert ("validate_request", "observed", "request.body_invalid") in explained


async def explanation(gateway: RunningGateway, request_id: str) -> list[tuple[str, str, str]]:
    """Policy, word and reason of each decision, as `crossdock explain` finds them once they are written."""
    settings = load_settings(gateway.settings_path)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = await administer(
            settings,
            lambda connection, _: explain(
                connection, request_id, tenant=settings.tenant, now=datetime.now(UTC), hours=settings.explain.hours
            ),
        )
        if found.record is not None:
            return [(policy, word, why) for policy, word, _, why in found.record.decisions or ()]
        await asyncio.sleep(0.2)
    raise AssertionError("there is no explanation")


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({"skus": ["A", "B", "C", "D"]}, 400, "/skus"),
        ({"skus": ["A" * 21]}, 400, "/skus/0"),
        ({"skus": [], "x": 1, "y": 2}, 400, ""),
        (b'{"skus":[[[1]]]}', 400, "/skus/0/0"),
        (b'{"skus":[1234567890]}', 400, "/skus/0"),
        (b'{"skus":["A"],"skus":["B"]}', 400, "/skus"),
        (b'{"skus":["A"]}' + b" " * 400, 413, None),
    ],
)
async def test_a_limit_that_is_declared_for_an_operation_is_told_with_its_place(declared, body, status, pointer):
    refused = await post(declared, QUERIES.format("v1"), body)
    assert refused.status_code == status, refused.text
    if pointer is not None:
        assert refused.json()["errors"][0]["pointer"] == pointer


async def test_with_every_answer_checked_reads_and_changes_go_on(declared: RunningGateway):
    async with declared.client() as client:
        for path in ("items", "availability?sku=SKU-0001", "orders"):
            for version in ("v1", "v2"):
                got = await client.get(f"/storefront/{version}/{path}")
                assert got.status_code == 200, got.text


# --- what the libraries beneath would do ------------------------------------------------------------------------------


async def test_a_forwarded_host_is_in_no_answer(door: RunningGateway):
    """Neither link, location nor redirect is made of what a client says the host was."""
    evil = "evil.example"
    fields = (
        f"X-Api-Key: {door.first.api_key}",
        *(f"{name}: {evil}" for name in ("X-Forwarded-Host", "X-Forwarded-Server", "X-Original-Host", "X-Host")),
        f"Forwarded: host={evil};proto=http;for=198.51.100.1",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Prefix: /evil.example",
    )
    for target in (
        *("/.well-known/api-catalog", "/.well-known/oauth-authorization-server", "/storefront/v1/items?limit=1"),
        *("/storefront/v1/items/", "/storefront/v1/nothing", "/livez", "//storefront/v1/items"),
    ):
        got = await answer(door, request(f"GET {target} HTTP/1.1", *fields, host=evil))
        assert got.status in {200, 404}, (target, got)
        assert not 300 <= got.status < 400
        assert evil not in "\n".join(got.headers.values()).lower(), target
        assert evil.encode() not in got.body.lower(), target


PAGES = ("/schema", "/schema/openapi.json", "/schema/openapi.yaml", "/schema/swagger", "/schema/redoc",
         "/schema/elements", "/schema/rapidoc", "/schema/scalar", "/docs", "/redoc", "/openapi.json",
         "/swagger", "/swagger-ui", "/swagger.json")  # fmt: skip


async def test_no_page_of_documentation_is_served_and_nothing_is_html(door: RunningGateway):
    for path in PAGES:
        got = await answer(
            door, request(f"GET {path} HTTP/1.1", f"X-Api-Key: {door.first.api_key}", "Accept: text/html")
        )
        assert (got.status, got.code) == (404, "route.not_found"), path
        assert got.headers["x-content-type-options"] == "nosniff"
