import asyncio
import base64
import json

import pytest

from gateway.kernel.errors import (
    BrokenUpstream,
    Conflict,
    NotAllowed,
    NotAuthenticated,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from gateway.kernel.secrets import Secret
from gateway.outbound.session import Response
from system_apis.tryton.client import Client
from tests.system_apis.tryton.scenarios import call

LOGGED_IN = {"result": [7, "token", None]}


class Script:
    """A session that gives prepared answers, in order, and remembers the requests."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    async def request(self, method, path, *, call, body=b"", headers=None, safe):
        self.requests.append((json.loads(body)["method"], headers, safe))
        answer = self.answers.pop(0)
        if isinstance(answer, Response):
            return answer
        return Response(200, {}, json.dumps({"id": 0, **answer}).encode())


def client_over(*answers):
    session = Script(*answers)
    return Client(session, database="db", user="crossdock", password=Secret("s3cret")), session


async def outcome(answer, *, write=False):
    client, _ = client_over(LOGGED_IN, answer)
    ask = client.write if write else client.read
    return await ask(call(), "model.sale.sale.search", context={})


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        ({"error": ["UserError", ["No stock.", "really", None]]}, Rejected, "erp.refused"),
        ({"error": ["UserError", ['You are not allowed to access "Party".', "", None]]}, NotAllowed, "erp.not_allowed"),
        ({"error": ["UserWarning", ["w1", "Sure?", ""]]}, Conflict, "erp.confirmation_needed"),
        ({"error": ["ConcurrencyException", "Records were modified"]}, Unavailable, "erp.changed_meanwhile"),
        (
            {"error": ["UserError", ['You can not call "quote" on "47 [ord_1]" of "Sale".', "", None]]},
            Unavailable,
            "erp.changed_meanwhile",
        ),
        ({"error": ["LoginException", ["x", "y", "char"]]}, NotAuthenticated, "erp.credentials_refused"),
        ({"error": ["database is locked", ""]}, Unavailable, "erp.database_locked"),
        ({"error": ["'nosuch'", ""]}, BrokenUpstream, "erp.fault"),
        ({"error": []}, BrokenUpstream, "erp.protocol"),
        (Response(403, {}, b""), NotAllowed, "erp.not_allowed"),
        (Response(404, {}, b""), BrokenUpstream, "erp.database_missing"),
        (Response(429, {}, b""), Throttled, "erp.throttled"),
        (Response(418, {}, b""), BrokenUpstream, "erp.protocol"),
    ],
)
@pytest.mark.parametrize("write", [False, True])
async def test_trytons_own_refusals_are_sorted_and_mean_that_nothing_was_done(answer, kind, code, write):
    with pytest.raises(kind) as raised:
        await outcome(answer, write=write)
    assert raised.value.code == code


@pytest.mark.parametrize("answer", [Response(500, {}, b""), Response(502, {}, b"<html>"), Response(504, {}, b"")])
async def test_a_server_error_leaves_the_outcome_of_a_write_unknown(answer):
    with pytest.raises(OutcomeUnknown):
        await outcome(answer, write=True)
    with pytest.raises(Unavailable):
        await outcome(answer)


async def test_a_locked_database_did_nothing_even_when_the_server_says_503():
    with pytest.raises(Unavailable):
        await outcome(Response(503, {}, b"<p>database is locked</p>"), write=True)


@pytest.mark.parametrize("body", [b"", b"<html>garbage", b"[1]", b'{"id": 1}', b"\xff"])
async def test_an_unreadable_answer_breaks_a_read_and_leaves_a_write_unknown(body):
    with pytest.raises(BrokenUpstream):
        await outcome(Response(200, {}, body))
    with pytest.raises(OutcomeUnknown):
        await outcome(Response(200, {}, body), write=True)


async def test_an_ended_session_is_opened_again_and_the_request_repeated():
    again = {"result": [7, "token2", None]}
    client, session = client_over(LOGGED_IN, Response(401, {}, b""), again, {"result": [3]})
    assert await client.write(call(), "model.sale.sale.create", [], context={}) == [3]
    assert [name for name, *_ in session.requests] == [
        "common.db.login",
        "model.sale.sale.create",
        "common.db.login",
        "model.sale.sale.create",
    ]
    assert base64.b64decode(session.requests[-1][1]["authorization"].split()[1]) == b"crossdock:7:token2"


async def test_a_session_that_ends_at_once_is_not_opened_forever():
    refused = Response(401, {}, b"")
    client, _ = client_over(LOGGED_IN, refused, LOGGED_IN, refused)
    with pytest.raises(NotAuthenticated):
        await client.read(call(), "model.sale.sale.search", context={})


async def test_a_refused_password_is_said_without_saying_it():
    client, _ = client_over(Response(401, {}, b""))
    with pytest.raises(NotAuthenticated) as raised:
        await client.read(call(), "model.sale.sale.search", context={})
    assert "crossdock" in raised.value.detail
    assert "s3cret" not in f"{raised.value.detail} {client!r} {vars(client)}"


async def test_reads_are_safe_to_repeat_and_writes_are_not():
    client, session = client_over(LOGGED_IN, {"result": []}, {"result": []})
    await client.search_read(call(), "sale.sale", [], ["number"], context={})
    await client.write(call(), "model.sale.sale.create", [], context={})
    assert [safe for *_, safe in session.requests] == [True, True, False]


async def test_many_requests_at_once_log_in_once():
    client, session = client_over(LOGGED_IN, *[{"result": []}] * 5)
    await asyncio.gather(*[client.read(call(), "model.x.search", context={}) for _ in range(5)])
    assert [name for name, *_ in session.requests].count("common.db.login") == 1
