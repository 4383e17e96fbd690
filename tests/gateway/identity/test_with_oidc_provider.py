"""Tokens of the real oidc-provider from npm, in a process of its own, with rotation and outage."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import httpx
import msgspec
import pytest

from gateway.engines.ports import free_port
from gateway.identity.federated_issuer import FederatedIssuer
from gateway.outbound.door import Outbound

from .conftest import OPTIONS
from .test_federation import GRANT, MovingClock, ask

TOOLS = Path(os.environ.get("OIDC_TOOLS", Path(__file__).parents[3] / ".crossdock" / "oidc-provider"))
pytestmark = [
    pytest.mark.long,
    pytest.mark.integration,
    pytest.mark.skipif(
        not (TOOLS / "node_modules" / "oidc-provider").exists() or shutil.which("node") is None,
        reason="no oidc-provider: run tests/install_outside_tools.sh",
    ),
]


class Provider:
    def __init__(self, folder):
        self.port = free_port(set())
        self._script = folder / "provider.mjs"
        shutil.copyfile(Path(__file__).with_name("oidc_provider.mjs"), self._script)
        (folder / "node_modules").symlink_to(TOOLS / "node_modules")
        self._process = None

    def _spawn(self, kid):
        command = ["node", str(self._script), str(self.port), kid]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    async def start(self, kid):
        self._spawn(kid)
        async with httpx.AsyncClient(trust_env=False) as client:
            for _ in range(600):
                try:
                    await client.get(f"http://127.0.0.1:{self.port}/jwks")
                except httpx.HTTPError:
                    await asyncio.sleep(0.1)
                else:
                    return
        pytest.fail("the provider did not start")

    def stop(self):
        self._process.kill()
        self._process.wait()

    async def token(self):
        fields = {"grant_type": "client_credentials", "client_id": "shop-backend", "client_secret": "s3cret"}
        async with httpx.AsyncClient(trust_env=False) as client:
            reply = await client.post(f"http://127.0.0.1:{self.port}/token", data={**fields, "scope": "stock.read"})
        return reply.json()["access_token"].encode()


async def test_rotation_and_outage_of_a_real_provider(tmp_path, make_identity):
    clock, provider = MovingClock(), Provider(tmp_path)
    outbound = Outbound(clock)
    outside = FederatedIssuer(
        name="idp", issuer=f"http://127.0.0.1:{provider.port}", audience="https://api.example", grants=(GRANT,)
    )
    identity = make_identity(clock, options=msgspec.structs.replace(OPTIONS, issuers=(outside,)), outbound=outbound)
    try:
        await provider.start("k1")
        first, another = await provider.token(), await provider.token()
        assert (await ask(identity, first)).scopes == {"availability:read"}
        provider.stop()
        clock.seconds += 120
        assert (await ask(identity, another)).tenant == "acme"
        await provider.start("k2")
        rotated = await provider.token()
        assert (await ask(identity, rotated)).tenant == "acme"
        provider.stop()
    finally:
        provider.stop()
        await identity.federation.close()
        await outbound.close()
