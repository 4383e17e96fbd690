import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Misconfigured
from gateway.kernel.secrets import Secret
from gateway.outbound.answers import Answer, Broken
from gateway.outbound.breakage import Breakage
from gateway.outbound.targets import TargetRules
from gateway.outbound.webhooks import RETRY_SCHEDULE, Attempt, Outcome, WebhookSender, next_attempt, sign

from .conftest import Wire

OLD, NEW, OTHER = ("whsec_" + base64.b64encode(letter * 24).decode() for letter in (b"o", b"n", b"x"))
BODY = json.dumps({"type": "order.completed", "name": "Zoë"}, ensure_ascii=False).encode()


async def public(host, port):
    return ["93.184.215.14"]


def sender_over(wire, **rules):
    async def post(url, _rules, fields, body):
        headers = [tuple(line.split(": ", 1)) for line in fields.decode().split("\r\n") if line]
        answer = await wire(httpx.Request("POST", url, headers=headers, content=body))
        return Answer(answer.status_code, [(name.lower(), value) for name, value in answer.headers.raw])

    return WebhookSender(TargetRules(**rules), SystemClock(), resolve=public, post=post)


async def deliver(sender, url="https://hooks.example/in"):
    return await sender.deliver(
        url, message_id="msg_1", body=BODY, secrets=[Secret(NEW), Secret(OLD)], correlation_id="c"
    )


async def test_a_partner_verifies_with_either_secret_while_they_rotate():
    wire = Wire(204)
    attempt = await deliver(sender_over(wire))
    assert attempt.outcome is Outcome.DELIVERED
    request = wire.sent[0]
    for secret in (OLD, NEW):
        assert Verifier(secret).verify(request.content, dict(request.headers))["name"] == "Zoë"
    with pytest.raises(WebhookVerificationError):
        Verifier(OTHER).verify(request.content, dict(request.headers))


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.DELIVERED),
        (299, Outcome.DELIVERED),
        (301, Outcome.FAILED),
        (400, Outcome.FAILED),
        (410, Outcome.DISABLE),
        (429, Outcome.SLOW_DOWN),
        (500, Outcome.FAILED),
        (502, Outcome.SLOW_DOWN),
        (503, Outcome.FAILED),
        (504, Outcome.SLOW_DOWN),
    ],
)
async def test_what_a_status_means(status, outcome):
    wire = Wire(httpx.Response(status, headers={"location": "https://elsewhere.example/"}))
    attempt = await deliver(sender_over(wire))
    assert (attempt.outcome, attempt.status, len(wire.sent)) == (outcome, status, 1)


async def test_a_connection_that_fails_is_a_failed_attempt_and_no_exception():
    attempt = await deliver(sender_over(Wire(Broken(Breakage.NOT_SENT, "refused"))))
    assert (attempt.outcome, attempt.status) == (Outcome.FAILED, None)
    assert attempt.detail == "the receiver cannot be reached"


async def test_a_target_that_is_not_allowed_is_refused_without_a_request():
    sender = WebhookSender(TargetRules(), SystemClock(), resolve=public)  # a socket would fail this test
    attempt = await deliver(sender, "https://10.0.0.1/in")
    assert (attempt.outcome, attempt.status) == (Outcome.REFUSED, None)


async def test_what_a_system_called_its_event_cannot_add_a_header():
    wire = Wire(204)
    await sender_over(wire).deliver(
        "https://hooks.example/in", message_id="msg_1", body=BODY, secrets=[Secret(NEW)], correlation_id="a\r\nx: 1é"
    )
    assert wire.sent[0].headers["x-correlation-id"] == "a??x: 1?"
    assert "x" not in wire.sent[0].headers


def test_the_schedule_is_that_of_the_standard_with_jitter_on_top():
    assert [wait.total_seconds() for wait in RETRY_SCHEDULE] == [
        0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400,
    ]  # fmt: skip
    for made, planned in enumerate(RETRY_SCHEDULE):
        wait = next_attempt(made)
        assert planned <= wait <= planned * 1.2 + timedelta(seconds=0)
    assert next_attempt(len(RETRY_SCHEDULE)) is None


def test_a_receiver_that_asks_for_time_gets_it():
    asked = Attempt(outcome=Outcome.SLOW_DOWN, status=429, detail="", took_ms=1, retry_after=600)
    assert next_attempt(1, asked) >= timedelta(seconds=600)


def test_a_message_id_with_a_dot_could_forge_what_is_signed():
    with pytest.raises(Misconfigured):
        sign("msg.1", datetime.now(UTC), BODY, [Secret(NEW)])


@pytest.mark.integration
async def test_the_connection_goes_to_the_address_that_was_checked_and_not_to_what_the_name_says():
    seen = []

    async def receiver(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head)
        await reader.readexactly(len(BODY))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def resolve(host, port):
        return ["127.0.0.1"]

    server = await asyncio.start_server(receiver, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sender = WebhookSender(TargetRules(loopback=True), SystemClock(), resolve=resolve)
    attempt = await deliver(sender, f"http://no-such-host.invalid:{port}/in")
    await sender.close()
    server.close()
    assert attempt.outcome is Outcome.DELIVERED, attempt.detail
    assert f"no-such-host.invalid:{port}".encode() in seen[0]
