import asyncio
import json
import time

import pytest

from gateway.canonical.capabilities import Call
from gateway.kernel.errors import (
    BrokenUpstream,
    Conflict,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Unavailable,
)
from gateway.kernel.secrets import Secret
from gateway.outbound.session import Response
from system_apis.sap_s4 import wire
from system_apis.sap_s4.client import Client

TOKEN = Response(
    200, {"x-csrf-token": "T1", "set-cookie": "SAP_SESSIONID_X_100=s1; path=/, sap-usercontext=a"}, b'{"d":{}}'
)
ORDER = {"SalesOrder": "7"}


def call():
    return Call(tenant="acme", correlation_id="cor_1", deadline=time.monotonic() + 60)


def answer(status=200, body=b"", **headers):
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def error(status, text, **headers):
    told = {"error": {"code": "V1/1", "message": {"lang": "en", "value": text}}}
    return answer(status, json.dumps(told).encode(), **headers)


class Script:
    """A session that gives prepared answers, in order, and remembers the requests."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    async def request(self, method, path, *, call, headers, body=b"", safe):
        self.requests.append((method, path, headers, safe))
        await asyncio.sleep(0)
        return self.answers.pop(0)


def client_over(*answers):
    session = Script(*answers)
    return Client(session, user="U", password=Secret("s3cret"), client="100"), session


async def test_a_change_takes_a_token_first_and_keeps_the_session_it_belongs_to():
    client, session = client_over(TOKEN, answer(201, wire.encode({"d": ORDER})), answer(201, wire.encode({"d": ORDER})))
    for _ in range(2):
        assert (await client.create(call(), wire.Order, {"a": 1})).sales_order == "7"
    fetch, first, second = session.requests
    assert (fetch[0], fetch[2]["x-csrf-token"], fetch[3]) == ("GET", "Fetch", True)
    for _, path, headers, safe in (first, second):
        assert (headers["x-csrf-token"], safe) == ("T1", False)
        assert headers["cookie"] == "SAP_SESSIONID_X_100=s1; sap-usercontext=a"
        assert path.endswith("?sap-client=100")


async def test_an_expired_token_is_renewed_once_and_the_change_sent_again():
    stale = error(403, "CSRF token validation failed", x_csrf_token="Required")
    fresh = Response(200, {"x-csrf-token": "T2"}, b"")
    client, session = client_over(TOKEN, stale, fresh, answer(201, wire.encode({"d": ORDER})))
    await client.create(call(), wire.Order, {})
    assert [headers.get("x-csrf-token") for _, _, headers, _ in session.requests] == ["Fetch", "T1", "Fetch", "T2"]
    client, session = client_over(TOKEN, stale, fresh, stale)
    with pytest.raises(NotAllowed):
        await client.create(call(), wire.Order, {})
    assert session.answers == []


async def test_many_changes_at_once_ask_for_one_token():
    client, session = client_over(TOKEN, *[answer(201, wire.encode({"d": ORDER}))] * 5)
    await asyncio.gather(*(client.create(call(), wire.Order, {}) for _ in range(5)))
    assert [method for method, *_ in session.requests].count("GET") == 1


SORTED = [
    (error(400, "No such material"), Rejected, "erp.refused"),
    (error(422, "Incomplete"), Rejected, "erp.refused"),
    (error(400, "Order 7 is currently being processed by MILLER"), Unavailable, "erp.locked"),
    (error(423, "Document is locked"), Unavailable, "erp.locked"),
    (error(401, "who"), NotAuthenticated, "erp.credentials_refused"),
    (error(403, "No authorization"), NotAllowed, "erp.not_allowed"),
    (error(404, "no"), NotFound, "erp.not_found"),
    (error(409, "there"), Conflict, "erp.changed_meanwhile"),
    (error(412, "changed"), Unavailable, "erp.changed_meanwhile"),
    (error(503, "No dialog work process"), Unavailable, "erp.unavailable"),
    (answer(500, b"<html>dump</html>"), OutcomeUnknown, "erp.outcome_unknown"),
    (answer(504), OutcomeUnknown, "erp.outcome_unknown"),
    (answer(201, b'{"d":'), OutcomeUnknown, "erp.outcome_unknown"),
    (answer(201, b'{"d":{"SalesOrder":5}}'), OutcomeUnknown, "erp.outcome_unknown"),
]


@pytest.mark.parametrize(("given", "kind", "code"), SORTED, ids=[f"case {at}" for at in range(len(SORTED))])
async def test_what_a_change_is_answered_with_is_sorted_by_what_to_do_next(given, kind, code):
    client, _ = client_over(TOKEN, given)
    with pytest.raises(kind) as raised:
        await client.create(call(), wire.Order, {})
    assert raised.value.code == code
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "kind"),
    [(answer(500), Unavailable), (answer(200, b"[]"), BrokenUpstream), (error(404, "segment"), NotFound)],
)
async def test_a_read_has_no_unknown_outcome(given, kind):
    client, _ = client_over(given)
    with pytest.raises(kind):
        await client.rows(call(), wire.Order)


async def test_pages_that_sap_makes_by_itself_are_followed():
    more = {"results": [ORDER], "__next": "http://elsewhere:1/sap/opu/odata/sap/X/A_SalesOrder?$skiptoken=2"}
    client, session = client_over(answer(200, wire.encode({"d": more})), answer(200, wire.encode({"d": [ORDER]})))
    assert len(await client.rows(call(), wire.Order, filter="SalesOrder eq '7'", top=5)) == 2
    assert session.requests[0][1].endswith(
        "A_SalesOrder?$filter=SalesOrder%20eq%20%277%27&$top=5&$format=json&sap-client=100"
    )
    assert session.requests[1][1] == "/sap/opu/odata/sap/X/A_SalesOrder?$skiptoken=2"
