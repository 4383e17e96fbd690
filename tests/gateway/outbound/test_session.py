import asyncio
import logging

import httpx
import pytest
from msgspec import structs

from gateway.canonical.capabilities import Call
from gateway.kernel.errors import BrokenUpstream, Misconfigured, OutcomeUnknown, Rejected, Throttled, Unavailable
from gateway.outbound.door import Outbound

from .conftest import Wire, hang

REFUSED = httpx.ConnectError("refused")
CUT = httpx.ReadError("cut")


async def test_a_request_goes_below_the_base_url_with_its_correlation_id(session_with, call):
    wire = Wire(httpx.Response(200, headers={"X-Page": "2"}, content=b"ok"))
    answer = await session_with(wire).request("GET", "/items?sku=A%2FB%23", call=call, safe=True)
    assert str(wire.sent[0].url) == "https://erp.example/base/items?sku=A%2FB%23"
    assert wire.sent[0].headers["x-correlation-id"] == "cor_1"
    assert (answer.status, answer.headers["x-page"], answer.body) == (200, "2", b"ok")


async def test_a_safe_request_is_tried_again_and_a_change_is_not(session_with, call):
    wire = Wire(CUT, 503, 200)
    assert (await session_with(wire).request("GET", "/", call=call, safe=True)).status == 200
    assert len(wire.sent) == 3

    wire = Wire(CUT)
    with pytest.raises(OutcomeUnknown):
        await session_with(wire).request("POST", "/", call=call, body=b"{}", safe=False)
    assert len(wire.sent) == 1


async def test_what_is_sent_for_a_call_is_told_with_its_tries_and_its_end(session_with, call):
    made = []
    asking = structs.replace(call, made=made)
    session = session_with(Wire(CUT, 503, 200, 404, CUT))
    await session.request("GET", "/secret?token=secret", call=asking, safe=True)
    await session.request("GET", "/", call=asking, safe=True)
    with pytest.raises(OutcomeUnknown):
        await session.request("POST", "/", call=asking, safe=False)
    assert [(told.system, told.method, told.outcome, told.attempts) for told in made] == [
        ("erp", "GET", "200", 3),
        ("erp", "GET", "404", 1),
        ("erp", "POST", "outbound.outcome_unknown", 1),
    ]
    assert "secret" not in repr(made)
    await session.request("GET", "/", call=call, safe=True)
    assert len(made) == 3


async def test_a_change_that_never_left_is_unavailable_and_not_unknown(session_with, call):
    with pytest.raises(Unavailable) as caught:
        await session_with(Wire(REFUSED)).request("POST", "/", call=call, safe=False)
    assert caught.value.code == "outbound.no_answer"


@pytest.mark.parametrize("status", [302, 404, 500, 501, 503])
async def test_every_other_answer_to_a_change_is_the_adapters_to_judge(session_with, call, status):
    wire = Wire(httpx.Response(status, headers={"location": "https://elsewhere.example/"}))
    assert (await session_with(wire).request("POST", "/", call=call, safe=False)).status == status
    assert len(wire.sent) == 1


async def test_silence_ends_at_the_calls_deadline(session_with, clock):
    wire = Wire(hang, hang)
    session = session_with(wire, retries=0)
    for safe, expected in ((False, OutcomeUnknown), (True, Unavailable)):
        with pytest.raises(expected):
            await session.request("POST", "/", call=_hurried(clock, 0.1), safe=safe)
    assert len(wire.sent) == 2


async def test_nothing_is_sent_after_the_deadline(session_with, call, clock):
    wire = Wire()
    clock.advance(11)
    with pytest.raises(Unavailable) as caught:
        await session_with(wire).request("POST", "/", call=call, safe=False)
    assert caught.value.code == "outbound.deadline_passed"
    assert wire.sent == []


async def test_a_timeout_shortens_the_deadline_and_never_extends_it(session_with, clock):
    """Whichever is longer would outlast the wire, which gives up by itself."""
    session = session_with(Wire(hang, hang), retries=0)
    for deadline, timeout in ((3600, 0.05), (0.05, 3600)):
        with pytest.raises(OutcomeUnknown):
            await session.request("POST", "/", call=_hurried(clock, deadline), safe=False, timeout=timeout)


async def test_too_many_requests_is_throttled_and_holds_the_next_one_back(session_with, call):
    wire = Wire(httpx.Response(429, headers={"retry-after": "20"}), 200)
    session = session_with(wire)
    with pytest.raises(Throttled) as caught:
        await session.request("POST", "/", call=call, safe=False)
    assert caught.value.retry_after == 20
    with pytest.raises(Throttled) as caught:
        await session.request("POST", "/", call=call, safe=False)
    assert caught.value.code == "outbound.paced"
    assert len(wire.sent) == 1


async def test_an_answer_beyond_the_limit_is_broken_and_after_a_change_unknown(session_with, call):
    wire = Wire(httpx.Response(200, content=b"x" * 101), httpx.Response(200, content=b"x" * 101))
    session = session_with(wire, max_response_bytes=100)
    with pytest.raises(BrokenUpstream):
        await session.request("GET", "/", call=call, safe=True)
    with pytest.raises(OutcomeUnknown):
        await session.request("POST", "/", call=call, safe=False)


async def test_repeated_failures_open_the_breaker_and_one_trial_closes_it(session_with, call, clock):
    wire = Wire(500, 500, 500, 200, 200)
    session = session_with(wire, breaker_failures=3, breaker_open_s=2)
    for _ in range(3):
        await session.request("POST", "/", call=call, safe=False)
    with pytest.raises(Unavailable) as caught:
        await session.request("POST", "/", call=call, safe=False)
    assert caught.value.code == "outbound.breaker_open"
    assert caught.value.retry_after == 2
    assert len(wire.sent) == 3
    clock.advance(2.1)
    assert session.breaker.state == "half_open"
    assert (await session.request("POST", "/", call=call, safe=False)).status == 200
    assert session.breaker.state == "closed"


async def test_a_full_bulkhead_refuses_at_once_and_sends_nothing(session_with, call):
    free = asyncio.Event()

    async def slow(_request):
        await free.wait()
        return httpx.Response(200)

    wire = Wire(*[slow] * 3)
    session = session_with(wire, concurrency=2, queue=1)
    tasks = [asyncio.create_task(session.request("POST", "/", call=call, safe=False)) for _ in range(3)]
    async with asyncio.timeout(30):
        while len(wire.sent) < 2:  # noqa: ASYNC110 - a list has no event
            await asyncio.sleep(0.005)
    with pytest.raises(Unavailable) as caught:
        await session.request("POST", "/", call=call, safe=False)
    assert caught.value.code == "outbound.bulkhead_full"
    assert len(wire.sent) == 2
    free.set()
    assert [answer.status for answer in await asyncio.gather(*tasks)] == [200, 200, 200]


async def test_retries_stay_inside_their_budget(session_with, call):
    wire = Wire(*[CUT] * 200)
    session = session_with(wire, breaker_failures=1000, retries=2)
    for _ in range(60):
        with pytest.raises(Unavailable):
            await session.request("GET", "/", call=call, safe=True)
    assert len(wire.sent) <= 60 + 10 + 6


@pytest.mark.parametrize(
    "path", ["items", "//elsewhere.example/", "/a/../b", "/a/%2e%2E/b", "/a#b", "/a b", "/a\r\nx: y", "/a\\b", "/é"]
)
async def test_a_path_that_could_lead_elsewhere_is_refused(session_with, call, path):
    wire = Wire()
    with pytest.raises(Rejected):
        await session_with(wire).request("GET", path, call=call, safe=True)
    assert wire.sent == []


async def test_a_header_with_a_line_break_is_refused(session_with, call):
    with pytest.raises(Rejected):
        await session_with(Wire()).request("GET", "/", call=call, headers={"x-a": "b\r\nx-c: d"}, safe=True)
    forged = structs.replace(call, correlation_id="c\r\nx: y")
    with pytest.raises(Rejected):
        await session_with(Wire()).request("GET", "/", call=forged, safe=True)


async def test_neither_query_nor_headers_nor_body_reach_the_log(session_with, call, caplog):
    caplog.set_level(logging.DEBUG)
    wire = Wire(CUT, 200)
    session = session_with(wire, retries=0)
    headers = {"authorization": "Bearer hunter2"}
    with pytest.raises(Unavailable):
        await session.request("GET", "/a?key=hunter2", call=call, headers=headers, body=b"hunter2", safe=True)
    await session.request("GET", "/a?key=hunter2", call=call, headers=headers, body=b"hunter2", safe=True)
    assert "/a" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    "url", ["ftp://erp.example", "http://user:secret@erp.example", "http://erp.example/?a=b", "erp"]
)
def test_a_base_url_that_is_more_or_less_than_one_is_misconfigured(clock, url):
    with pytest.raises(Misconfigured) as caught:
        Outbound(clock, transport=lambda _: httpx.MockTransport(Wire())).session("erp", url)
    assert "secret" not in caught.value.detail


def test_one_instance_has_one_address(clock):
    outbound = Outbound(clock, transport=lambda _: httpx.MockTransport(Wire()))
    first = outbound.session("erp", "http://erp.example/")
    assert outbound.session("erp", "http://erp.example") is first
    with pytest.raises(Misconfigured):
        outbound.session("erp", "http://other.example")


def _hurried(clock, seconds):
    return Call(tenant="acme", correlation_id="cor_1", deadline=clock.monotonic() + seconds)
