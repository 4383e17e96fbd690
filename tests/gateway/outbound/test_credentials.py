"""Tokens of other systems, against a token endpoint on a real socket."""

import asyncio
import base64

import pytest

from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import BrokenUpstream, Misconfigured, Unavailable
from gateway.kernel.secrets import Secret
from gateway.outbound.credentials import ClientCredentials, SecretField
from gateway.outbound.targets import TargetRules
from gateway.outbound.upstream import Upstream


class Endpoint:
    def __init__(self):
        self.requests = []
        self.status = "200 OK"
        self.body = None

    async def serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                self.requests.append((head, await reader.readexactly(length)))
                token = b'{"access_token":"t%d","token_type":"Bearer","expires_in":100}' % len(self.requests)
                body = token if self.body is None else self.body
                writer.write(f"HTTP/1.1 {self.status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@pytest.fixture
async def endpoint():
    made = Endpoint()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


class Patient:
    """An upstream that has a minute for each request, whatever the held clock makes of its deadline."""

    def __init__(self, upstream):
        self._upstream = upstream

    def __getattr__(self, name):
        return getattr(self._upstream, name)

    async def ask(self, request, *, safe, **_):
        return await self._upstream.ask(request, deadline=SystemClock().monotonic() + 60, safe=safe)


@pytest.fixture
async def credentials(endpoint, clock):
    upstream = Upstream(
        "legacy tokens",
        f"http://127.0.0.1:{endpoint.port}",
        SystemClock(),
        rules=TargetRules(networks=("127.0.0.0/8",)),
        contact="the items team",
    )

    class Both(SystemClock):
        """Real time for the network, held time for the life of a token."""

    made = ClientCredentials(
        upstream, "/oauth/token", Both(), client_id="cross:dock", secret=Secret("hunter 2"), scope="items"
    )
    made._monotonic = clock.monotonic
    made._upstream = Patient(upstream)
    yield made
    await upstream.close()


@pytest.mark.integration
async def test_many_callers_ask_for_one_token_and_keep_it_while_it_is_fresh(credentials, endpoint, clock):
    values = await asyncio.gather(*[credentials.value() for _ in range(50)])
    assert set(values) == {b"Bearer t1"}
    assert credentials.ready() == b"Bearer t1"
    ((head, body),) = endpoint.requests
    assert body == b"grant_type=client_credentials&scope=items"
    assert base64.b64encode(b"cross%3Adock:hunter+2") in head
    clock.advance(71)
    assert await credentials.value() == b"Bearer t2"


@pytest.mark.integration
async def test_a_refused_token_is_asked_for_again_but_no_storm_follows(credentials, endpoint, clock):
    first = await credentials.value()
    assert not credentials.refused(first)
    clock.advance(6)
    assert credentials.refused(first)
    second = await credentials.value()
    assert second == b"Bearer t2"
    assert credentials.refused(first), "somebody else has asked already: try with theirs"
    assert credentials.ready() == second


@pytest.mark.integration
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        ("503 Busy", b"", Unavailable),
        ("401 No", b'{"error":"invalid_client"}', BrokenUpstream),
        ("200 OK", b"<html>", BrokenUpstream),
        ("200 OK", b'{"access_token":"a\\r\\nb","token_type":"bearer"}', BrokenUpstream),
        ("200 OK", b'{"access_token":"a","token_type":"mac"}', BrokenUpstream),
    ],
)
async def test_without_a_token_nothing_is_sent_and_no_secret_is_told(credentials, endpoint, status, body, kind):
    endpoint.status, endpoint.body = status, body
    with pytest.raises(kind) as refused:
        await credentials.value()
    assert "hunter" not in refused.value.detail
    assert "the items team" in refused.value.detail or kind is Unavailable


def test_a_secret_that_no_header_may_hold_does_not_start_and_is_not_told():
    with pytest.raises(Misconfigured) as refused:
        SecretField("x-key", "", Secret("a\r\nb"))
    assert "a\r" not in refused.value.detail
