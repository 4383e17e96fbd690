"""Identical reads in flight are one request, of one caller only."""

import asyncio
import time

import pytest
from proxied_upstreams import GOOD, FakeAuthenticate, answer

from gateway.kernel.context import Caller, Principal, Zone

pytestmark = pytest.mark.integration
ROOT = "/system/legacy/v1"


@pytest.fixture
def held(server):
    """The server answers when the test says so."""
    gate = asyncio.Event()

    async def hold(_reader, writer, head):
        if head.startswith((b"POST", b"PUT")):
            length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length"))
            await _reader.readexactly(int(length.split(b":")[1]))
            writer.write(answer(GOOD, "201 Created"))
            return
        await gate.wait()
        writer.write(server.say)

    server.behave = hold
    return gate


async def asked(server, count):
    end = time.monotonic() + 30
    while len(server.heads) < count:
        assert time.monotonic() < end, f"{len(server.heads)} of {count} requests came"
        await asyncio.sleep(0.005)


async def test_ten_identical_reads_are_one_request_with_an_id_of_its_own_for_each_caller(make_site, server, held):
    site = make_site(share_reads=True)
    reads = [asyncio.create_task(site.send("GET", f"{ROOT}/items?limit=5")) for _ in range(10)]
    await asked(server, 1)
    await asyncio.sleep(0.05)
    held.set()
    replies = await asyncio.gather(*reads)
    assert {(reply.status, reply.body) for reply in replies} == {(200, GOOD)}
    assert len({reply.headers["x-request-id"] for reply in replies}) == 10
    assert len(server.heads) == 1
    await site.send("GET", f"{ROOT}/items?limit=5")
    assert len(server.heads) == 2, "nothing is kept once it has been answered"


async def test_it_is_off_unless_the_settings_ask_for_it(site, server, held):
    reads = [asyncio.create_task(site.send("GET", f"{ROOT}/items")) for _ in range(3)]
    await asked(server, 3)
    held.set()
    await asyncio.gather(*reads)


class ByName:
    """The credential is the caller's name: ``tenant/subject/credential/partner``."""

    def __init__(self, auth):
        self._auth = auth

    def __call__(self, exchange):
        tenant, subject, key, partner = exchange.headers[b"authorization"].decode().split()[1].split("/")
        exchange.principal = Principal(tenant, subject, key, frozenset(Zone), self._auth.scopes, partner=partner)
        exchange.caller = Caller(exchange.principal, exchange.request_id, exchange.correlation_id, exchange.deadline)


@pytest.mark.parametrize("identity_headers", [True, False], ids=["told who asks", "not told"])
async def test_no_two_callers_share_one(make_site, server, held, monkeypatch, identity_headers):
    monkeypatch.setattr(FakeAuthenticate, "admit", lambda self, exchange: ByName(self)(exchange))
    site = make_site(share_reads=True, identity_headers=identity_headers, tenant_aware=True)
    callers = ["a/s/k/p", "b/s/k/p", "a/t/k/p", "a/s/l/p", "a/s/k/q"]
    reads = [asyncio.create_task(site.send("GET", f"{ROOT}/items", credential=name)) for name in callers * 2]
    await asked(server, len(callers))
    await asyncio.sleep(0.05)
    assert len(server.heads) == len(callers)
    held.set()
    assert {reply.status for reply in await asyncio.gather(*reads)} == {200}


async def test_reads_that_differ_in_target_or_field_are_different_reads(make_site, server, held):
    site = make_site(share_reads=True)
    asks = [("?limit=5", ()), ("?limit=6", ()), ("?limit=5", (("x-depot", "north"),)), ("?limit=5", (("range", "a"),))]
    reads = [asyncio.create_task(site.send("GET", f"{ROOT}/items{query}", b"", *fields)) for query, fields in asks]
    await asked(server, 4)
    held.set()
    await asyncio.gather(*reads)


async def test_a_read_after_a_change_does_not_join_one_from_before_it(make_site, server, held):
    site = make_site(share_reads=True)
    before = asyncio.create_task(site.send("GET", f"{ROOT}/items"))
    await asked(server, 1)
    assert (await site.send("POST", f"{ROOT}/items", b'{"sku":"A"}')).status == 201
    after = asyncio.create_task(site.send("GET", f"{ROOT}/items"))
    await asked(server, 3)
    held.set()
    await asyncio.gather(before, after)


async def test_a_failure_goes_to_who_waited_and_is_forgotten(make_site, server, held):
    site = make_site(share_reads=True)
    server.say = answer(b"oops", "500 Oops", kind="text/plain")
    reads = [asyncio.create_task(site.send("GET", f"{ROOT}/items")) for _ in range(3)]
    await asked(server, 1)
    await asyncio.sleep(0.05)
    held.set()
    assert [reply.status for reply in await asyncio.gather(*reads)] == [502] * 3
    server.say = answer()
    assert (await site.send("GET", f"{ROOT}/items")).status == 200


async def test_who_asked_first_may_leave_and_the_others_have_their_answer(make_site, server, held):
    site = make_site(share_reads=True)
    reads = [asyncio.create_task(site.send("GET", f"{ROOT}/items")) for _ in range(3)]
    await asked(server, 1)
    await asyncio.sleep(0.05)
    reads[0].cancel()
    held.set()
    assert [reply.status for reply in await asyncio.gather(*reads[1:])] == [200, 200]


async def test_another_tenant_is_served_only_where_the_api_keeps_tenants_apart(make_site, server, monkeypatch):
    monkeypatch.setattr(FakeAuthenticate, "admit", lambda self, exchange: ByName(self)(exchange))
    refused = await make_site().send("GET", f"{ROOT}/items", credential="b/s/k/p")
    assert (refused.status, refused.code, server.heads) == (403, "authorise.tenant", [])
    served = await make_site(tenant_aware=True).send("GET", f"{ROOT}/items", credential="b/s/k/p")
    assert served.status == 200
    assert b"x-crossdock-tenant: b\r\n" in server.heads[0]


async def test_a_websocket_handshake_is_not_passed_on(site, server):
    upgrade = (("upgrade", "websocket"), ("connection", "upgrade"), ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="))
    reply = await site.send("GET", f"{ROOT}/items", b"", *upgrade)
    assert reply.status != 101
    assert not any(b"upgrade" in head.lower() for head in server.heads)
