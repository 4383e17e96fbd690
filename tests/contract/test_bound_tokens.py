"""Tokens bound to a key (DPoP, RFC 9449) or a client certificate (RFC 8705, RFC 9440) over the wire, at two processes.

The whole door: proofs and certificates as their owner sends them, and as somebody does who has the token but not the
key. 127.0.0.1 is the proxy that terminates TLS; 127.0.0.2 is anybody.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import jwt
import pytest
from cut_off import Pair
from running_gateway import IMPATIENT, TENANT

from gateway.app import administer
from gateway.identity.client_proofs import register_client_certificates
from gateway.identity.partners import PartnerCredentials
from gateway.settings import load_settings
from tests.gateway.identity.crypto import Key, certificate, client_cert, thumbprint

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("contract")]
PATH = "/storefront/v1/items"
FORM = {"grant_type": "client_credentials"}


@dataclass(frozen=True)
class Bound:
    """A token, its key, and what a proof must name."""

    token: str
    key: Key
    issuer: str

    def headers(self, **wrong: object) -> dict[str, str]:
        """A token and its proof; `wrong` replaces what the proof says."""
        given = {"url": self.issuer + PATH, "token": self.token.encode(), **wrong}
        key = given.pop("key", self.key)
        return {"Authorization": f"DPoP {self.token}", "DPoP": key.proof(**given).decode()}


@pytest.fixture(scope="module")
async def clients(pair: Pair) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """One client at each process."""
    async with pair.both[0].client("") as first, pair.both[1].client("") as second:
        yield first, second


@pytest.fixture(scope="module")
async def stranger(pair: Pair) -> AsyncIterator[httpx.AsyncClient]:
    """A client at the first process whose address is none of the listed peers."""
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.2", limits=IMPATIENT)
    async with httpx.AsyncClient(base_url=pair.both[0].url, transport=transport, timeout=30) as client:
        yield client


@pytest.fixture
async def bound(pair: Pair, clients) -> Bound:
    issuer, key = pair.both[0].url, Key()
    proof = key.proof("POST", f"{issuer}/oauth2/token").decode()
    answer = await clients[0].post("/oauth2/token", auth=secret_of(pair), data=FORM, headers={"DPoP": proof})
    assert answer.status_code == 200, answer.text
    assert answer.json()["token_type"] == "DPoP"
    replayed = await clients[1].post("/oauth2/token", auth=secret_of(pair), data=FORM, headers={"DPoP": proof})
    assert (replayed.status_code, replayed.json()["error"]) == (400, "invalid_dpop_proof")
    return Bound(answer.json()["access_token"], key, issuer)


def secret_of(pair: Pair) -> tuple[str, str]:
    return pair.both[0].first.client_id, pair.both[0].first.client_secret


def refused(answer: httpx.Response, code: str, challenge: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (401, code), answer.text
    assert answer.headers["www-authenticate"].startswith(challenge.partition(" ")[0] + " ")
    assert challenge.partition(" ")[2] in answer.headers["www-authenticate"]
    if challenge.startswith("DPoP"):
        assert 'algs="ES256 ' in answer.headers["www-authenticate"]


async def test_a_right_proof_passes_at_both_processes_and_once_in_all(bound: Bound, clients):
    for client, other in (clients, clients[::-1]):
        headers = bound.headers()
        assert (await client.get(PATH, headers=headers)).status_code == 200
        for again in (client, other):
            refused(await again.get(PATH, headers=headers), "dpop.replayed", 'DPoP error="invalid_dpop_proof"')


async def test_of_one_proof_sent_to_both_processes_at_once_exactly_one_passes(bound: Bound, clients):
    headers = bound.headers()
    answers = await asyncio.gather(*(clients[n % 2].get(PATH, headers=headers) for n in range(20)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 401: 19}


WRONG = {
    "htm of another method": {"method": "POST"},
    "htu of another path": {"url": "http://127.0.0.1/storefront/v1/orders"},
    "htu of another host": {"url": "https://evil.example/storefront/v1/items"},
    "no htu": {"htu": None},
    "another key": {"key": Key()},
    "another token's hash": {"token": b"another"},
    "no hash of the token": {"ath": None},
    "a proof of last year": {"iat": 1_700_000_000},
    "no jti": {"jti": None},
    "a symmetric key": {"header": {"jwk": {"kty": "oct", "k": "AA"}}},
    "a header that fetches": {"header": {"jku": "https://evil.example/"}},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("number", [0, 1], ids=["one process", "the other"])
async def test_a_proof_that_is_not_of_this_request_and_key_is_refused(bound: Bound, clients, wrong, number):
    answer = await clients[number].get(PATH, headers=bound.headers(**wrong))
    refused(answer, "dpop.invalid", 'DPoP error="invalid_dpop_proof"')


async def test_a_bound_token_without_its_proof_or_as_a_bearer_token_is_refused(bound: Bound, clients):
    for client in clients:
        alone = await client.get(PATH, headers={"Authorization": f"DPoP {bound.token}"})
        refused(alone, "dpop.invalid", 'DPoP error="invalid_dpop_proof"')
        as_bearer = await client.get(PATH, headers={**bound.headers(), "Authorization": f"Bearer {bound.token}"})
        refused(as_bearer, "token.scheme", 'Bearer error="invalid_token"')
        two = [*bound.headers().items(), ("DPoP", bound.headers()["DPoP"])]
        assert (await client.get(PATH, headers=two)).status_code in (400, 401), "two proofs are none"


# --- certificates -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def owned():
    return certificate("partner.example")


def passed_on(made: object) -> dict[str, str]:
    return {"Client-Cert": client_cert(made).decode()}


@pytest.fixture(scope="module")
async def known(pair: Pair, owned) -> PartnerCredentials:
    """The second partner proves itself with its certificate's name, and has a secret as well."""
    partner = pair.both[0].second
    settings = load_settings(pair.both[0].settings_path)
    names = ["dns:partner.example"]
    given = {"tenant": TENANT, "client_id": partner.client_id, "names": names, "keep_secrets": True}
    await administer(settings, lambda connection, _: register_client_certificates(connection, **given))
    return partner


async def test_a_certificate_that_a_listed_peer_passes_on_gets_a_token_that_only_it_may_use(
    clients, stranger, known, owned
):
    form = {**FORM, "client_id": known.client_id}
    granted = await clients[0].post("/oauth2/token", data=form, headers=passed_on(owned))
    assert granted.status_code == 200, granted.text
    token = granted.json()["access_token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["cnf"] == {"x5t#S256": thumbprint(owned)}
    bearer = {"Authorization": f"Bearer {token}"}
    for client in clients:
        for _ in range(2):  # cold, then from the worker's memory
            assert (await client.get(PATH, headers={**bearer, **passed_on(owned)})).status_code == 200
        for wrong in ({}, passed_on(certificate("partner.example"))):
            answer = await client.get(PATH, headers={**bearer, **wrong})
            refused(answer, "token.certificate", 'Bearer error="invalid_token"')
    answer = await stranger.get(PATH, headers={**bearer, **passed_on(owned)})
    refused(answer, "token.certificate", 'Bearer error="invalid_token"')


async def test_a_certificate_from_an_unlisted_peer_or_of_another_name_proves_no_client(clients, stranger, known, owned):
    form = {**FORM, "client_id": known.client_id}
    answers = [
        await stranger.post("/oauth2/token", data=form, headers=passed_on(owned)),
        await clients[0].post("/oauth2/token", data=form, headers=passed_on(certificate("other.example"))),
        await clients[1].post("/oauth2/token", data=form, headers=passed_on(certificate("partner.example", days=-1,
                                                                                        begins=-2))),
        await clients[1].post("/oauth2/token", data=form),
    ]  # fmt: skip
    assert [(answer.status_code, answer.json()["error"]) for answer in answers] == [(401, "invalid_client")] * 4
    assert all(answer.headers["www-authenticate"].startswith("Basic") for answer in answers)


async def test_a_token_of_a_secret_is_not_bound_by_what_an_unlisted_peer_sends(stranger, known, owned):
    given = {"auth": (known.client_id, known.client_secret), "data": FORM}
    granted = await stranger.post("/oauth2/token", **given, headers=passed_on(owned))
    assert "cnf" not in jwt.decode(granted.json()["access_token"], options={"verify_signature": False})


@pytest.mark.parametrize("field", ["", "AAAA", ":AAAA", "::", ":AA-A:", ":AAAA:, :AAAA:", ":AAAA:;a=1"])
async def test_a_certificate_field_that_is_no_byte_sequence_is_refused(clients, known, field):
    form = {**FORM, "client_id": known.client_id}
    answer = await clients[0].post("/oauth2/token", data=form, headers={"Client-Cert": field})
    assert answer.status_code in (400, 401), answer.text
