import httpx
import pytest

from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import (
    BrokenUpstream,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from gateway.kernel.secrets import Secret
from gateway.outbound.door import Outbound
from gateway.outbound.limits import SystemLimits
from system_apis.regional_wms.client import Client

from .conftest import call

ORDER = {"order_number": "SO-1", "client_reference": "r", "warehouse": "N", "status": "RELEASED", "lines": []}


def client_answering(*answers):
    sent = []
    left = list(answers)

    def answer(request):
        sent.append(request)
        return left.pop(0)

    outbound = Outbound(SystemClock(), transport=lambda _: httpx.MockTransport(answer))
    session = outbound.session("wms", "http://wms.example", SystemLimits(retries=0))
    return Client(session, Secret("k3y")), sent


def refusal(status, code="SOME_CODE"):
    return httpx.Response(status, json={"error": {"code": code, "message": "why"}})


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, Rejected),
        (422, Rejected),
        (401, BrokenUpstream),
        (403, BrokenUpstream),
        (404, NotFound),
        (409, Conflict),
        (418, BrokenUpstream),
        (302, BrokenUpstream),
        (429, Throttled),
        (500, OutcomeUnknown),
        (502, OutcomeUnknown),
        (503, Unavailable),
    ],
)
async def test_errors_of_a_change_are_sorted_by_what_to_do_next(status, expected):
    client, _ = client_answering(refusal(status))
    with pytest.raises(expected):
        await client.cancel_order(call(), number="SO-1")


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_failing_read_may_be_tried_again(status):
    client, _ = client_answering(refusal(status))
    with pytest.raises(Unavailable):
        await client.status(call())


async def test_the_vendors_code_is_kept():
    client, _ = client_answering(refusal(409, "PICKING_STARTED"))
    with pytest.raises(Conflict) as caught:
        await client.cancel_order(call(), number="SO-1")
    assert caught.value.code == "wms.picking_started"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"order_number": 7}', b"\xff\xfe", b'{"a":' * 50_000])
async def test_an_answer_outside_the_contract_is_broken_and_after_a_change_unknown(body):
    client, _ = client_answering(httpx.Response(200, content=body), httpx.Response(200, content=body))
    with pytest.raises(BrokenUpstream):
        await client.orders(call(), reference="r")
    with pytest.raises(OutcomeUnknown):
        await client.cancel_order(call(), number="SO-1")


async def test_odd_references_and_numbers_travel_encoded_with_the_key():
    client, sent = client_answering(httpx.Response(200, json={"orders": []}), httpx.Response(200, json=ORDER))
    await client.orders(call(), reference="a/b #é&=?")
    await client.cancel_order(call(), number="SO/1 #é")
    assert sent[0].url.query == b"client_reference=a%2Fb+%23%C3%A9%26%3D%3F"
    assert sent[1].url.raw_path == b"/api/v2/orders/SO%2F1%20%23%C3%A9/cancel"
    assert sent[0].headers["x-api-key"] == "k3y"


async def test_fields_that_the_vendor_adds_do_no_harm():
    client, _ = client_answering(httpx.Response(200, json={**ORDER, "carrier": "ACME", "lines": []}))
    assert (await client.cancel_order(call(), number="SO-1")).order_number == "SO-1"
