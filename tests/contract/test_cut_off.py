"""What is revoked while engines are cut off: two gateway processes, asked all the while, judged by the client's log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

import httpx
import pytest
from cut_off import Pair
from running_gateway import IMPATIENT, TENANT, RunningGateway

from gateway.app import administer
from gateway.canonical.capabilities import Connection
from gateway.identity.clients import disable_client, revoke_api_key, revoke_tokens
from gateway.identity.partners import PartnerCredentials, add_partner, suspend_partner
from gateway.kernel.keyring import KeyRing
from gateway.settings import load_settings

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("contract")]

ASKED = "/storefront/v1/items"
BOUND = 5.0  # seconds, published in semantics and docs
BACK_SECONDS = 60
BLIND = "identity.unavailable"
BUSY = "store.unavailable"
CALLERS = ("untouched", "disabled", "tokens", "token", "key", "suspended key", "suspended token")


class Told(NamedTuple):
    """One line of the client's log; the time is when it asked, on its own clock."""

    at: float
    status: int
    code: str


Log = dict[tuple[int, str], list[Told]]


async def make_partners(gateway: RunningGateway, prefix: str) -> dict[str, PartnerCredentials]:
    async def work(connection: Connection, ring: KeyRing) -> dict[str, PartnerCredentials]:
        return {
            name: await add_partner(
                connection, ring, tenant=TENANT, name=f"{prefix} {name}", channel="web", plan="standard", accounts=["X"]
            )
            for name in CALLERS
        }

    return await administer(load_settings(gateway.settings_path), work)


async def token_of(gateway: RunningGateway, partner: PartnerCredentials) -> str:
    async with gateway.client("") as client:
        answer = await client.post(
            "/oauth2/token",
            auth=(partner.client_id, partner.client_secret),
            data={"grant_type": "client_credentials"},
        )
    return str(answer.json()["access_token"])


@asynccontextmanager
async def asking(pair: Pair, credentials: Mapping[str, Mapping[str, str]]) -> AsyncIterator[Log]:
    """Ask each process with each credential five times a second, whether or not the one before was answered."""
    log: Log = {(number, name): [] for number in range(len(pair.both)) for name in credentials}

    async def ask(client: httpx.AsyncClient, number: int, name: str) -> None:
        at = time.monotonic()
        answer = await client.get(ASKED, headers=credentials[name])
        code = "" if answer.status_code == httpx.codes.OK else answer.json()["code"]
        log[number, name].append(Told(at, answer.status_code, code))

    async def keep_asking(client: httpx.AsyncClient, number: int) -> None:
        async with asyncio.TaskGroup() as asked:
            while not stop.is_set():
                for name in credentials:
                    asked.create_task(ask(client, number, name))
                await asyncio.sleep(0.2)

    stop = asyncio.Event()
    async with many_connections(pair.both[0]) as first, many_connections(pair.both[1]) as second:
        tasks = [asyncio.create_task(keep_asking(client, number)) for number, client in enumerate((first, second))]
        try:
            await until(lambda: all(told and told[-1].status == 200 for told in log.values()), log)
            yield log
        finally:
            stop.set()
            await asyncio.gather(*tasks)


def many_connections(gateway: RunningGateway) -> httpx.AsyncClient:
    unbounded = httpx.Limits(keepalive_expiry=IMPATIENT.keepalive_expiry)
    return httpx.AsyncClient(base_url=gateway.url, trust_env=False, timeout=60, limits=unbounded)


async def until(holds, log: Log) -> None:
    end = time.monotonic() + BACK_SECONDS
    while not holds():
        assert time.monotonic() < end, {who: told[-3:] for who, told in log.items()}
        await asyncio.sleep(0.05)


async def test_what_is_revoked_with_nats_and_valkey_cut_off_is_refused_by_both_within_the_bound(pair: Pair):
    partners = await make_partners(pair.both[0], "revoked")
    tokens = {name: await token_of(pair.both[0], partners[name]) for name in CALLERS}
    credentials = {
        name: {"X-Api-Key": partners[name].api_key} if "key" in name else {"Authorization": f"Bearer {tokens[name]}"}
        for name in CALLERS
    }
    expected = {
        "untouched": "",
        "disabled": "token.revoked",
        "tokens": "token.revoked",
        "token": "token.revoked",
        "key": "api_key.unknown",
        "suspended key": "api_key.unknown",
        "suspended token": "partner.suspended",
    }

    async def revoke(connection: Connection, _: KeyRing) -> None:
        await disable_client(connection, tenant=TENANT, client_id=partners["disabled"].client_id)
        await revoke_tokens(connection, tenant=TENANT, client_id=partners["tokens"].client_id)
        visible = partners["key"].api_key.split("_")[2]
        await revoke_api_key(connection, tenant=TENANT, client_id=partners["key"].client_id, key_id=visible)
        for name in ("suspended key", "suspended token"):
            await suspend_partner(connection, tenant=TENANT, partner=partners[name].partner_id, reason="unpaid")

    async with asking(pair, credentials) as log:
        pair.valkey.cut()
        pair.nats.cut()
        try:
            own = partners["token"]
            async with pair.both[0].client("") as client:
                given = {"auth": (own.client_id, own.client_secret), "data": {"token": tokens["token"]}}
                assert (await client.post("/oauth2/revoke", **given)).status_code == 200
            await administer(load_settings(pair.both[0].settings_path), revoke)
            revoked_at = time.monotonic()
            await until(lambda: all(told[-1].code == expected[name] for (_, name), told in log.items()), log)
            # Everybody asks after the bound as well.
            await until(lambda: all(told[-1].at > revoked_at + BOUND for told in log.values()), log)
        finally:
            pair.valkey.mend()
            pair.nats.mend()
    for (number, name), told in log.items():
        late = [each for each in told if each.at > revoked_at + BOUND]
        # On a machine that is too busy to read the record in time, a worker stops believing or answers nobody.
        assert {each.code for each in late} <= {expected[name], BLIND, BUSY}, (number, name)
        assert {each.code for each in told} <= {"", expected[name], BLIND, BUSY}, (number, name)
    accepted = {who: [each.at - revoked_at for each in told if each.status == 200] for who, told in log.items()}
    print("last accepted, seconds after the revocation:", {who: round(max(at), 2) for who, at in accepted.items()})  # noqa: T201


async def test_a_record_that_is_cut_off_makes_503_of_every_credential_and_never_401(pair: Pair):
    partners = await make_partners(pair.both[0], "cut off")
    token = await token_of(pair.both[0], partners["token"])
    credentials = {
        "key": {"X-Api-Key": partners["key"].api_key},
        "token": {"Authorization": f"Bearer {token}"},
    }
    stranger = {"X-Api-Key": partners["untouched"].api_key}  # never seen by a worker: only the record knows it
    async with asking(pair, credentials) as log:
        pair.postgres.cut()
        cut_at = time.monotonic()
        try:
            await asyncio.sleep(BOUND + 2)
            for running in pair.both:
                async with running.client("") as client:
                    answer = await client.get(ASKED, headers=stranger)
                assert (answer.status_code, answer.json()["code"]) == (503, BLIND)
                assert int(answer.headers["retry-after"]) >= 1
            mended_at = time.monotonic()
        finally:
            pair.postgres.mend()
        await until(
            lambda: all(any(each.at > mended_at and each.status == 200 for each in told) for told in log.values()), log
        )
    for who, told in log.items():
        assert 401 not in {each.status for each in told}, who
        blind = [each for each in told if cut_at + BOUND < each.at < mended_at]
        assert {(each.status, each.code) for each in blind} == {(503, BLIND)}, who
