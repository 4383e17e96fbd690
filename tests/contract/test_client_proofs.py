"""Keys and certificates of clients, registered by the command and the process API, and what the door makes of them."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest
from callers import client_key
from running_gateway import TENANT, RunningGateway

from gateway.app import administer
from gateway.identity.grants import ClientKind
from gateway.identity.partners import PartnerCredentials, add_partner
from gateway.settings import load_settings
from tests.gateway.identity.crypto import ASSERTION_TYPE, Key, certificate, pem

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("contract")]
FORM = {"grant_type": "client_credentials"}


async def a_partner(gateway: RunningGateway, name: str) -> PartnerCredentials:
    given = {"tenant": TENANT, "name": name, "channel": "web", "plan": "standard", "accounts": ["K"]}
    return await administer(load_settings(gateway.settings_path), lambda c, ring: add_partner(c, ring, **given))


async def crossdock(gateway: RunningGateway, *words: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "gateway.cli", *words, "--settings", str(gateway.settings_path)]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def by_assertion(gateway: RunningGateway, client_id: str, key: Key) -> int:
    assertion = key.assertion(client_id, f"{gateway.url}/oauth2/token")
    form = {**FORM, "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
    async with gateway.client("") as client:
        return (await client.post("/oauth2/token", data=form)).status_code


async def by_secret(gateway: RunningGateway, partner: PartnerCredentials) -> int:
    async with gateway.client("") as client:
        return (
            await client.post("/oauth2/token", auth=(partner.client_id, partner.client_secret), data=FORM)
        ).status_code


async def test_keys_that_the_command_registers_take_the_place_of_the_secret(gateway: RunningGateway, tmp_path):
    partner, key, other = await a_partner(gateway, "keys by command"), Key("one"), Key("two")
    assert (await by_secret(gateway, partner), await by_assertion(gateway, partner.client_id, key)) == (200, 401)
    (file := tmp_path / "jwks.json").write_text(json.dumps({"keys": [key.jwk]}))
    status, said = await crossdock(gateway, "client", "keys", partner.client_id, "--file", str(file), "--json")
    assert status == 0, said
    assert json.loads(said) == {"client_id": partner.client_id, "kids": ["one"], "secrets_kept": False}
    assert (await by_secret(gateway, partner), await by_assertion(gateway, partner.client_id, key)) == (401, 200)
    file.write_text(json.dumps(other.jwk))
    status, said = await crossdock(gateway, "client", "keys", partner.client_id, "--file", str(file))
    assert (status, said) == (0, f"{partner.client_id} proves itself with two; its secrets ended\n")
    assert await by_assertion(gateway, partner.client_id, key) == 401
    assert await by_assertion(gateway, partner.client_id, other) == 200


async def test_what_is_no_public_key_or_certificate_registers_nothing(gateway: RunningGateway, tmp_path):
    partner = await a_partner(gateway, "nothing registered")
    (private := tmp_path / "private.json").write_text(json.dumps({**Key("p").jwk, "d": "AA"}))
    (broken := tmp_path / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    for words, told in (
        (("keys", partner.client_id, "--file", str(private)), "not a public key"),
        (("keys", partner.client_id, "--file", str(broken)), "not JSON"),
        (("keys", partner.client_id, "--file", str(tmp_path / "none")), "cannot read"),
        (("keys", "cli_nobody", "--file", str(private)), "no client cli_nobody"),
        (("certificates", partner.client_id, "--file", str(broken)), "certificate is refused"),
        (("certificates", partner.client_id, "--name", "partner.example"), "write dn:"),
        (("certificates", partner.client_id), "at least one"),
    ):
        status, said = await crossdock(gateway, "client", *words)
        assert (status != 0, told in said, said.count("\n")) == (True, True, 1), (words, said)
    assert await by_secret(gateway, partner) == 200


async def test_an_application_registers_keys_and_certificates_of_its_tenants_partners_only(gateway: RunningGateway):
    partner, key = await a_partner(gateway, "keys by API"), Key("api")
    path = f"/process/partner-accounts/v1/partners/{partner.partner_id}/clients/{partner.client_id}"
    own, foreign = [
        await client_key(gateway, tenant, ClientKind.APPLICATION, ["partners:administer"])
        for tenant in (TENANT, "elsewhere")
    ]
    keys: dict[str, Any] = {"keys": [key.jwk], "keep_secrets": True}
    certificates = {"certificates": [pem(certificate()).decode()], "names": ["dns:a.example"], "keep_secrets": True}
    async with gateway.client(foreign) as client:
        for what, body in (("keys", keys), ("certificates", certificates)):
            assert (await client.put(f"{path}/{what}", json=body)).json()["code"] == "client.not_found"
    async with gateway.client(own) as client:
        answer = await client.put(f"{path}/keys", json=keys)
        assert (answer.status_code, answer.json()) == (200, {"kids": ["api"]})
        assert (await client.put(f"{path}/certificates", json=certificates)).status_code == 204
        assert (await client.put(f"{path}/certificates", json={})).json()["code"] == "client.bad_certificate"
        private = {"keys": [{**key.jwk, "d": "AA"}]}
        assert (await client.put(f"{path}/keys", json=private)).status_code == 422
        weak = {"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}
        assert (await client.put(f"{path}/keys", json=weak)).json()["code"] == "client.bad_key"
    assert (await by_secret(gateway, partner), await by_assertion(gateway, partner.client_id, key)) == (200, 200)
