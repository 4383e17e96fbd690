"""Partners and plans administered over HTTP, and felt at the door: a real gateway, two tenants, one partner's key."""

from __future__ import annotations

import asyncio
import time

import pytest
from callers import client_key
from running_gateway import TENANT, RunningGateway

from gateway.identity.grants import ClientKind

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("contract")]
ROOT = "/process/partner-accounts/v1"
LIMITS = {"default": {"rate": "120/minute", "burst": 60}}


async def application_key(gateway: RunningGateway, tenant: str) -> str:
    return await client_key(gateway, tenant, ClientKind.APPLICATION, ["partners:read", "partners:administer"])


async def felt(client, expected):
    """The first answer at the door that is as expected."""
    end = time.monotonic() + 60
    while not expected(answer := await client.get("/storefront/v1/items")):
        assert time.monotonic() < end, (answer.status_code, answer.headers)
        await asyncio.sleep(0.1)
    return answer


async def test_a_partner_is_put_on_a_plan_suspended_resumed_and_closed_and_the_door_follows(gateway):
    async with gateway.client(await application_key(gateway, TENANT)) as client:
        plan = await client.put(f"{ROOT}/plans/gold", headers={"If-None-Match": "*"}, json={"limits": LIMITS})
        assert (plan.status_code, plan.headers["etag"]) == (200, '"v1"')
        asked = {"name": "Administered", "channel": "web", "plan": "gold", "accounts": ["C9"]}
        added = await client.post(f"{ROOT}/partners", json=asked)
        made, path = added.json(), added.headers["location"]
        assert (added.status_code, added.headers["etag"]) == (201, '"v1"')
        read = (await client.get(path)).text
        assert not [secret for secret in (made["client_secret"], made["api_key"]) if secret in read]
        async with gateway.client(made["api_key"]) as partner:
            await felt(partner, lambda answer: "q=60" in answer.headers.get("ratelimit-policy", ""))
            given = {"headers": {"If-Match": '"v1"'}, "json": {"reason": "unpaid"}}
            assert (await client.put(f"{path}/suspension", **given)).json()["state"] == "suspended"
            await felt(partner, lambda answer: answer.status_code == 401)
            assert (await client.put(f"{path}/suspension", **given)).status_code == 412
            resumed = await client.delete(f"{path}/suspension", headers={"If-Match": '"v2"'})
            assert resumed.json()["state"] == "active"
            await felt(partner, lambda answer: answer.status_code == 200)
            in_use = await client.delete(f"{ROOT}/plans/gold", headers={"If-Match": '"v1"'})
            assert in_use.json()["code"] == "plan.in_use"
            assert (await client.delete(path, headers={"If-Match": '"v3"'})).status_code == 204
            await felt(partner, lambda answer: answer.status_code == 401)
        assert (await client.delete(f"{ROOT}/plans/gold", headers={"If-Match": '"v1"'})).status_code == 204


@pytest.mark.parametrize(("headers", "status"), [({}, 428), ({"If-Match": '"v9"'}, 412), ({"If-Match": "*"}, 412)])
async def test_who_did_not_see_the_present_version_changes_nothing(gateway, headers, status):
    path = f"{ROOT}/partners/{gateway.first.partner_id}"
    body = {"channel": "web", "plan": "standard", "accounts": ["STOLEN"]}
    async with gateway.client(await application_key(gateway, TENANT)) as client:
        assert (await client.put(path, headers=headers, json=body)).status_code == status
        assert (await client.get(path)).json()["accounts"] == ["CUST1"]


async def test_another_tenant_and_a_partner_itself_administer_nobody(gateway):
    path = f"{ROOT}/partners/{gateway.first.partner_id}"
    given = {"headers": {"If-Match": '"v1"'}}
    async with gateway.client(await application_key(gateway, "elsewhere")) as client:
        foreign = [await client.get(path), await client.delete(path, **given)]
        missing = await client.get(f"{ROOT}/partners/par_00000000000000000000000000")
        assert {(answer.status_code, answer.json()["code"]) for answer in [*foreign, missing]} == {
            (404, "partner.not_found")
        }
        assert gateway.first.partner_id not in (await client.get(f"{ROOT}/partners")).text
    async with gateway.client() as partner:
        assert (await partner.get(path)).json()["code"] == "authorise.zone"
