import pytest

from gateway.identity.clients import add_api_key, rotate_api_key
from gateway.identity.partners import (
    accounts_of,
    add_partner,
    change_partner,
    disable_partner,
    find_partner,
    list_partners,
)
from gateway.identity.webhook_endpoints import add_endpoint, disable_endpoint, endpoints_of, rotate_webhook_secret
from gateway.kernel.errors import Conflict, Invalid, NotAuthenticated, NotFound

from .conftest import RING

pytestmark = pytest.mark.integration


async def test_a_partner_is_shown_once_with_everything_and_stored_without_its_secrets(partner, store):
    for secret in (partner.client_secret, partner.api_key, partner.webhook_secret):
        assert secret not in repr(partner)
    for table in ("client_secret", "api_key", "webhook_endpoint", "partner", "client"):
        dump = str([tuple(row.values()) for row in await store.fetch(f"select * from identity.{table}")])
        for secret in (partner.client_secret, partner.api_key.rsplit("_", 1)[1], partner.webhook_secret):
            assert secret not in dump


async def test_a_partner_is_listed_with_its_accounts(partner, store):
    async with store.connection() as connection:
        (listed,) = await list_partners(connection, tenant="acme")
        assert await list_partners(connection, tenant="other") == []
        assert await accounts_of(connection, "acme", partner.partner_id) == {"C-1", "C-2"}
        assert await accounts_of(connection, "other", partner.partner_id) == frozenset()
    assert (listed.name, listed.channel, listed.plan) == ("Nordwind", "web", "gold")
    assert listed.clients == (partner.client_id,)


async def test_two_partners_of_one_name_are_refused_within_a_tenant_only(partner, store):
    async def add(tenant):
        async with store.transaction() as connection:
            await add_partner(connection, RING, tenant=tenant, name="Nordwind", channel="b", plan="p", accounts=[])

    with pytest.raises(Conflict):
        await add("acme")
    await add("other")


async def test_a_change_is_seen_and_another_tenants_partner_is_not_found(partner, store):
    async with store.transaction() as connection:
        given = {"channel": "edi", "plan": "silver", "accounts": ["C-3"]}
        await change_partner(connection, tenant="acme", partner=partner.partner_id, **given)
        found = await find_partner(connection, tenant="acme", partner=partner.partner_id)
        assert (found.channel, found.plan, found.accounts) == ("edi", "silver", {"C-3"})
        with pytest.raises(NotFound):
            await change_partner(connection, tenant="other", partner=partner.partner_id, **given)
        with pytest.raises(NotFound):
            await disable_partner(connection, tenant="other", partner=partner.partner_id)


async def test_what_was_done_is_in_the_audit_trail_without_secrets(partner, store):
    rows = await store.fetch("select action, detail::text as detail from store.audit order by id")
    assert [row["action"] for row in rows] == ["client.added", "api_key.added", "partner.added"]
    assert partner.client_secret not in str(rows)


async def test_at_most_two_api_keys_live_and_a_rotation_keeps_the_last_one_for_a_while(partner, store, identity):
    given = {"tenant": "acme", "client_id": partner.client_id, "environment": "live"}
    async with store.transaction() as connection:
        second = await add_api_key(connection, RING, **given)
        with pytest.raises(Conflict):
            await add_api_key(connection, RING, **given)
    async with store.transaction() as connection:
        third = await rotate_api_key(connection, RING, **given, overlap=60)
    for key in (second, third):
        assert (await identity.authenticate({b"x-api-key": key.encode()})).partner == partner.partner_id
    with pytest.raises(NotAuthenticated):
        await identity.authenticate({b"x-api-key": partner.api_key.encode()})


async def test_webhook_secrets_open_for_delivery_and_overlap_when_rotated(partner, store):
    async with store.transaction() as connection:
        (endpoint,) = await endpoints_of(connection, RING, "acme", partner.partner_id)
        assert [secret.reveal() for secret in endpoint.secrets] == [partner.webhook_secret]
        assert endpoint.wants("order.shipped")
        assert not endpoint.wants("order.accepted")
        new = await rotate_webhook_secret(connection, RING, tenant="acme", endpoint_id=endpoint.endpoint_id)
        (rotated,) = await endpoints_of(connection, RING, "acme", partner.partner_id)
        assert [secret.reveal() for secret in rotated.secrets] == [partner.webhook_secret, new]
        assert await endpoints_of(connection, RING, "other", partner.partner_id) == []
        await disable_endpoint(connection, tenant="acme", endpoint_id=endpoint.endpoint_id, reason="410")
        assert await endpoints_of(connection, RING, "acme", partner.partner_id) == []


@pytest.mark.parametrize("url", ["ftp://a.example/x", "javascript:alert(1)", "https://", "https://u:p@a.example/"])
async def test_an_address_that_is_not_plain_http_is_refused(url, partner, store):
    with pytest.raises(Invalid):
        async with store.transaction() as connection:
            await add_endpoint(connection, RING, tenant="acme", partner=partner.partner_id, url=url)


async def test_a_disabled_partner_gets_no_webhooks_and_may_order_for_nobody(partner, store):
    async with store.transaction() as connection:
        await disable_partner(connection, tenant="acme", partner=partner.partner_id)
        assert await endpoints_of(connection, RING, "acme", partner.partner_id) == []
        assert await accounts_of(connection, "acme", partner.partner_id) == frozenset()
