"""What belongs to one tenant, asked for by another one's callers: a real gateway, every zone, each sort of client."""

from __future__ import annotations

import pytest
from callers import client_key
from running_gateway import TENANT, RunningGateway

from gateway.identity.grants import ClientKind

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("contract")]
SYSTEM = "/system/regional-wms/v1"
SCOPES = ["system:read", "system:write"]


async def told(gateway: RunningGateway, key: str, method: str, path: str) -> tuple[int, str]:
    async with gateway.client(key) as client:
        answer = await client.request(method, path, json={} if method == "POST" else None)
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "wms_north/health"),
        ("GET", "wms_north/stock?location=NOR1"),
        ("GET", "wms_north/movements"),
        ("POST", "wms_north/work-orders"),
        ("POST", "wms_north/work-order-cancellations"),
        ("GET", "no_such/health"),
        ("GET", "wms_north/no-such"),
    ],
)
async def test_an_operator_of_another_tenant_reaches_no_system_and_learns_of_none(door, method, path):
    foreign = await client_key(door, "elsewhere", ClientKind.OPERATOR, SCOPES)
    assert await told(door, foreign, method, f"{SYSTEM}/{path}") == (403, "authorise.tenant")


async def test_an_operator_of_the_gateways_own_tenant_reaches_its_systems(door):
    own = await client_key(door, TENANT, ClientKind.OPERATOR, SCOPES)
    status, code = await told(door, own, "GET", f"{SYSTEM}/wms_north/health")
    assert (status, code.partition(".")[0]) == (503, "outbound"), code
    assert await told(door, own, "GET", f"{SYSTEM}/no_such/health") == (404, "system.not_found")


@pytest.mark.parametrize("path", ["wms_north/health", "no_such/health"])
async def test_a_partner_and_an_application_of_any_tenant_open_no_system_api(door, path):
    for tenant in (TENANT, "elsewhere"):
        application = await client_key(door, tenant, ClientKind.APPLICATION, SCOPES)
        assert await told(door, application, "GET", f"{SYSTEM}/{path}") == (403, "authorise.zone")
    assert await told(door, door.first.api_key, "GET", f"{SYSTEM}/{path}") == (403, "authorise.zone")
