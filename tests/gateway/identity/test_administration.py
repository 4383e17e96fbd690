"""Plans, suspension and changes, and how workers come to know."""

import asyncio
import time

import pytest

from gateway.identity.clients import api_keys_of, change_scopes, client_of_key, clients_of
from gateway.identity.grants import ClientKind, Grant
from gateway.identity.identity import Identity
from gateway.identity.partners import (
    change_partner,
    disable_partner,
    find_partner,
    list_partners,
    resume_partner,
    suspend_partner,
)
from gateway.identity.plans import add_plan, change_plan, drop_plan, find_plan, list_plans
from gateway.identity.tokens import issue_token
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Conflict, NotAuthenticated, NotFound

from .conftest import OPTIONS, RING

pytestmark = pytest.mark.integration
LIMITS = {"default": {"rate": "60/minute"}}


async def until(ready, seconds=60.0):
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.05)


@pytest.fixture
async def workers(store):
    """Two workers, each with its own view of the record."""
    both = [Identity(store, RING, OPTIONS, SystemClock()) for _ in range(2)]
    for each in both:
        await each.open()
    yield both
    for each in both:
        await each.close()


def token_of(worker, partner):
    grant = Grant(tenant="acme", kind=ClientKind.PARTNER, partner=partner.partner_id, channel="web", plan="gold")
    key = worker.trust.snapshot.keys.current
    token = issue_token(key, OPTIONS, grant, client_id=partner.client_id, scope="orders:read")
    return {b"authorization": b"Bearer " + token.encode()}


def caller(worker, headers):
    try:
        return worker.authenticate(headers)
    except NotAuthenticated as error:
        return error.code


async def test_a_plan_is_added_changed_under_its_version_and_removed_when_nobody_is_on_it(store, partner):
    async with store.transaction() as connection:
        plan = await add_plan(connection, tenant="acme", name="gold", description="", limits=LIMITS)
        with pytest.raises(Conflict):
            await add_plan(connection, tenant="acme", name="gold", description="", limits=LIMITS)
        new = {"default": {"rate": "90/minute"}}
        given = {"tenant": "acme", "name": "gold", "description": "more", "limits": new}
        assert (await change_plan(connection, **given, expected=plan.version)).version == 2
        with pytest.raises(Conflict) as late:
            await change_plan(connection, **given, expected=plan.version)
        assert late.value.code == "precondition.failed"
        with pytest.raises(Conflict) as used:
            await drop_plan(connection, tenant="acme", name="gold")
        assert used.value.code == "plan.in_use"
        assert await list_plans(connection, tenant="other") == []
        with pytest.raises(NotFound):
            await find_plan(connection, tenant="other", name="gold")
        await disable_partner(connection, tenant="acme", partner=partner.partner_id)
        await drop_plan(connection, tenant="acme", name="gold")
        assert await list_plans(connection, tenant="acme") == []


async def test_every_worker_hears_of_a_changed_plan_within_the_bound(store, workers):
    heard = [{}, {}]
    for number, worker in enumerate(workers):
        worker.trust.plans_changed = lambda plans, number=number: heard.__setitem__(number, dict(plans))
    async with store.transaction() as connection:
        await add_plan(connection, tenant="acme", name="gold", description="", limits=LIMITS)
    await until(lambda: all(each == {("acme", "gold"): LIMITS} for each in heard))


async def test_a_token_issued_before_is_on_the_plan_that_the_partner_has_now(store, workers, partner):
    tokens = token_of(workers[0], partner)
    assert [caller(worker, tokens).plan for worker in workers] == ["gold", "gold"]
    given = {"tenant": "acme", "partner": partner.partner_id, "channel": "edi", "plan": "silver", "accounts": ["C-1"]}
    async with store.transaction() as connection:
        await change_partner(connection, **given)
    await until(lambda: all(caller(worker, tokens).plan == "silver" for worker in workers))
    assert caller(workers[0], tokens).channel == "edi"


async def test_a_suspended_partner_is_refused_by_every_worker_and_taken_again_when_resumed(store, workers, partner):
    tokens = token_of(workers[0], partner)
    key = {b"x-api-key": partner.api_key.encode()}
    for worker in workers:
        assert (await worker.authenticate(key)).partner == partner.partner_id
    async with store.transaction() as connection:
        await suspend_partner(connection, tenant="acme", partner=partner.partner_id, reason="unpaid")
        found = await find_partner(connection, tenant="acme", partner=partner.partner_id)
        assert (found.suspended_because, found.version) == ("unpaid", 2)
    for worker in workers:
        await until(lambda worker=worker: caller(worker, tokens) == "partner.suspended")
        with pytest.raises(NotAuthenticated):
            await worker.authenticate(key)
    async with store.transaction() as connection:
        await resume_partner(connection, tenant="acme", partner=partner.partner_id, expected=2)
    for worker in workers:
        await until(lambda worker=worker: not isinstance(caller(worker, tokens), str))
        assert (await worker.authenticate(key)).partner == partner.partner_id


async def test_narrower_scopes_revoke_the_tokens_that_say_otherwise(store, workers, partner):
    tokens = token_of(workers[0], partner)
    assert caller(workers[1], tokens).scopes == {"orders:read"}
    async with store.transaction() as connection:
        await change_scopes(connection, tenant="acme", client_id=partner.client_id, scopes=["items:read"])
        (client,) = await clients_of(connection, tenant="acme", partner=partner.partner_id)
        assert client.scopes == ("items:read",)
    await until(lambda: caller(workers[1], tokens) == "token.revoked")


async def test_a_change_under_an_old_version_changes_nothing(store, partner):
    given = {"tenant": "acme", "partner": partner.partner_id}
    async with store.transaction() as connection:
        await suspend_partner(connection, **given, reason="x", expected=1)
        for late in (
            suspend_partner(connection, **given, reason="y", expected=1),
            resume_partner(connection, **given, expected=1),
            disable_partner(connection, **given, expected=1),
            change_partner(connection, **given, channel="c", plan="p", accounts=[], expected=1),
        ):
            with pytest.raises(Conflict) as refused:
                await late
            assert refused.value.code == "precondition.failed"
        assert (await find_partner(connection, **given)).version == 2


async def test_keys_are_listed_without_their_secrets_and_never_to_another_tenant(store, partner):
    async with store.connection() as connection:
        (key,) = await api_keys_of(connection, tenant="acme", partner=partner.partner_id)
        assert key.key_id in partner.api_key
        assert partner.api_key.rsplit("_", 1)[1] not in repr(key)
        assert await api_keys_of(connection, tenant="other", partner=partner.partner_id) == []
        assert await client_of_key(connection, tenant="acme", key_id=key.key_id) == partner.client_id
        with pytest.raises(NotFound):
            await client_of_key(connection, tenant="other", key_id=key.key_id)


async def test_partners_are_listed_page_by_page(store, partner):
    async with store.connection() as connection:
        (first,) = await list_partners(connection, tenant="acme", limit=10)
        assert await list_partners(connection, tenant="acme", after=first.partner_id, limit=10) == []
