"""The page that tells why a request was answered so, on a real record."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.edge.chain import WAY_IN
from gateway.explain.blocks import add_blocks, missing, pack
from gateway.explain.record import record_of
from gateway.kernel.context import Principal
from gateway.kernel.errors import Invalid, Problem
from gateway.kernel.exchange import OUTBOUND_KEY, Decision, Exchange, OutboundCall, Reply, Route

from .conftest import TENANT

pytestmark = pytest.mark.integration
HTMX = {"hx-request": "true"}


def request_id(at, number=1):
    return f"req_{int(at.timestamp()):08x}{number:024x}"


def refused(at, number=1, *, tenant=TENANT):
    """An order that did not fit."""
    made = Exchange({"type": "http", "method": "POST", "path": "/storefront/v1/orders"}, None, 0.0)
    made.path, made.peer = "/storefront/v1/orders", "192.0.2.7"
    made.request_id = made.correlation_id = request_id(at, number)
    made.route = Route(
        id="POST /storefront/v1/orders",
        method="POST",
        template="/storefront/v1/orders",
        api="storefront",
        version="v1",
        zone=None,
    )
    made.principal = Principal(tenant, "cli_<b>", "key-1", frozenset(), frozenset(), partner="prt_1")
    made.error = Invalid(
        "the body does not fit", code="body.invalid", problems=[Problem("Expected `int`", pointer="/lines/0/quantity")]
    )
    made.reply = Reply(422, [(b"ratelimit", b'"burst";r=59;t=1')], b"")
    made.entered = WAY_IN.index("validate_request") + 1
    made.decisions = [Decision(name, "passed", 12.0) for name in WAY_IN[: made.entered - 1]]
    made.decisions.append(Decision("validate_request", "refused", 40.0, "body.invalid"))
    made.notes[OUTBOUND_KEY] = [OutboundCall("erp_na", "GET", "outbound.timeout", 3, 4_200.0)]
    return record_of(made, 0.0015, epoch=at.timestamp(), names=WAY_IN, configuration=4)


async def kept(store, *records):
    async with store.connection() as connection:
        await add_blocks(connection, "host/7", pack(WAY_IN, records))


@pytest.fixture
async def page_about(console):
    """Asks the page as somebody who may view."""
    client, _ = await console.person("view")

    async def page(asked, **headers):
        return await client.get("/explain", params={"request": asked} if asked else None, headers=headers)

    async with client:
        yield page


async def test_without_an_id_the_page_says_where_to_find_one(page_about):
    page = await page_about(None)
    assert page.status_code == 200
    assert "X-Request-Id" in page.text


async def test_a_request_is_explained_to_whoever_may_view(console, page_about):
    at = datetime.now(UTC)
    record = refused(at)
    await kept(console.store, record)
    page = await page_about(record.request_id)
    for text in (
        "422: refused by validate_request with body.invalid",
        "/lines/0/quantity",
        "not asked",
        "12 µs",
        "erp_na",
        "outbound.timeout",
        "4.2 ms",
        "operation, way out",
        "cli_&lt;b&gt;",
        "host/7",
        "burst",
    ):
        assert text in page.text
    assert "<html" in page.text
    fragment = await page_about(record.request_id, **HTMX)
    assert "<html" not in fragment.text
    assert "refused by validate_request" in fragment.text


async def test_what_there_is_no_record_of_says_why(console, page_about):
    now = datetime.now(UTC)
    past = now - timedelta(minutes=5)
    milliseconds = int(past.timestamp() * 1000)
    async with console.store.connection() as connection:
        await add_blocks(connection, "host/7", [missing(milliseconds, milliseconds + 900, 17, "cap")])
    for asked, text in (
        (request_id(past), "the cap was reached at"),
        (request_id(now - timedelta(minutes=20)), "each worker keeps one a second"),
        (request_id(now - timedelta(hours=30)), "records are kept for 24 hours"),
        (request_id(now), "ask again in a moment"),
        (request_id(now + timedelta(hours=1)), "its time has not come yet"),
        ("PO-49001", "this is not the id of a request"),
        ("<script>", "this is not the id of a request"),
    ):
        page = await page_about(asked)
        assert page.status_code == 200
        assert text in page.text
        assert "<script>" not in page.text.replace("<script src", "")


async def test_a_request_of_another_tenant_is_not_there(console, page_about):
    at = datetime.now(UTC) - timedelta(minutes=1)
    record = refused(at, tenant="other")
    await kept(console.store, record)
    page = await page_about(record.request_id)
    assert "No record." in page.text
    assert "prt_1" not in page.text


async def test_nobody_reads_it_without_signing_in(console):
    client, _ = await console.person("view")
    async with client:
        client.cookies.clear()
        assert (await client.get("/explain")).status_code == 303
