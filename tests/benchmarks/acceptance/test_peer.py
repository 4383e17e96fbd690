"""The FastAPI peer and the gateway, beside each other: they keep the same promises, else their ratio says nothing."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import HTTPException, Response

from benchmarks.acceptance import checker
from benchmarks.acceptance.books import open_books
from benchmarks.acceptance.sides import ours_serving, peer_serving
from benchmarks.edge.peer import Checks
from benchmarks.edge.peer_proxies import of_two_clients, own_tokens

SIDES = ["ours", "fastapi"]
PATH = "/storefront/v2/orders"


@dataclass
class Doors:
    """Both, on one record."""

    record: str
    clients: dict[str, httpx.AsyncClient]
    token: str
    other_scope: str

    async def place(self, side: str, key: str | None, body: Any, **headers: str) -> httpx.Response:
        sent = {"authorization": f"Bearer {self.token}", **({"idempotency-key": key} if key else {}), **headers}
        return await self.clients[side].post(PATH, json=body, headers=sent)


@pytest.fixture(scope="module")
async def doors(urls, tmp_path_factory):
    folder = tmp_path_factory.mktemp("doors")
    server = await asyncpg.connect(urls.postgres)
    await server.execute("create database test_of_doors")
    record = urls.postgres.removesuffix("crossdock") + "test_of_doors"
    settings, credentials = await open_books(folder, replace(urls, postgres=record), seed=1, items=30, workers=1)
    with ours_serving(settings) as (port, _), peer_serving(settings, port) as (beside, _):
        async with AsyncExitStack() as stack:
            clients = {
                side: await stack.enter_async_context(httpx.AsyncClient(base_url=f"http://127.0.0.1:{at}", timeout=60))
                for side, at in zip(SIDES, (port, beside), strict=True)
            }
            tokens = [await _token(clients["ours"], credentials[0], scope) for scope in ("", "items:read")]
            yield Doors(record, clients, *tokens)
    await server.execute("drop database test_of_doors with (force)")
    await server.close()


async def _token(client, credential, scope):
    form = {
        "grant_type": "client_credentials",
        "client_id": credential.client_id,
        "client_secret": credential.client_secret,
    }
    answer = await client.post("/oauth2/token", data={**form, **({"scope": scope} if scope else {})})
    return answer.json()["access_token"]


def order(number: str, *skus: str, **more: Any) -> dict[str, Any]:
    ship_to = {"name": "A", "street": "1 Dock Road", "city": "Reno", "postal_code": "89501", "country": "US"}
    lines = [{"sku": sku, "quantity": {"amount": "2"}} for sku in skus or ("SKU-00003", "SKU-00001")]
    return {"external_number": number, "delivery": {"ship_to": ship_to}, "lines": lines, **more}


@pytest.mark.integration
@pytest.mark.parametrize("side", SIDES)
async def test_a_repeated_order_is_answered_with_the_first_answer_and_another_one_under_its_key_is_refused(doors, side):
    body = order(f"{side}-repeated")
    first, again = [await doors.place(side, f"{side}-1", body) for _ in range(2)]
    other = await doors.place(side, f"{side}-1", order(f"{side}-another"))

    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 422)
    assert again.content == first.content
    assert (again.headers["location"], again.headers["idempotent-replayed"]) == (first.headers["location"], "true")
    assert "idempotent-replayed" not in first.headers


@pytest.mark.integration
@pytest.mark.parametrize("side", SIDES)
async def test_of_twins_in_flight_one_makes_the_order_and_the_others_see_it_or_wait(doors, side):
    body = order(f"{side}-twins")
    answers = await asyncio.gather(*(doors.place(side, f"{side}-2", body) for _ in range(20)))

    assert {answer.status_code for answer in answers} <= {201, 409}
    made = [answer for answer in answers if answer.status_code == 201]
    assert len({answer.content for answer in made}) == 1
    assert [answer.headers.get("idempotent-replayed") for answer in made].count(None) == 1


@pytest.mark.integration
@pytest.mark.parametrize("side", SIDES)
async def test_what_may_not_pass_is_refused_with_problem_details(doors, side):
    good, key = order(f"{side}-refused"), f"{side}-3"
    refused = {
        "no token": await doors.place(side, key, good, authorization=""),
        "a forged token": await doors.place(side, key, good, authorization=f"Bearer {doors.token[:-6]}AAAAAA"),
        "another scope": await doors.place(side, key, good, authorization=f"Bearer {doors.other_scope}"),
        "another version": await doors.place(side, key, good, **{"api-version": "v9"}),
        "no key": await doors.place(side, None, good),
        "an unknown member": await doors.place(side, key, good | {"priority": 1}),
        "no lines": await doors.place(side, key, good | {"lines": []}),
        "a number as amount": await doors.place(
            side, key, good | {"lines": [{"sku": "SKU-00001", "quantity": {"amount": 1}}]}
        ),
        "an unknown article": await doors.place(side, f"{key}-unknown", order(f"{side}-unknown", "SKU-99999")),
        "another's account": await doors.place(side, f"{key}-account", good | {"account": "C1"}),
    }
    assert {why: answer.status_code for why, answer in refused.items()} == {
        "no token": 401,
        "a forged token": 401,
        "another scope": 403,
        "another version": 400,
        "no key": 400 if side == "ours" else 422,
        "an unknown member": 422,
        "no lines": 422,
        "a number as amount": 422,
        "an unknown article": 409,
        "another's account": 403,
    }
    assert {answer.headers["content-type"] for answer in refused.values()} == {"application/problem+json"}


@pytest.mark.integration
async def test_both_answer_an_order_alike_and_keep_the_answer_in_its_transaction(doors):
    asked = order("alike", "SKU-00007", "SKU-00005", delivery=order("")["delivery"] | {"requested_date": "2026-12-01"})
    answers = [
        (await doors.place(side, f"{side}-4", asked | {"external_number": f"alike-{side}"})).json() for side in SIDES
    ]
    for answer in answers:
        del answer["id"], answer["external_number"], answer["placed_at"]
    assert answers[0] == answers[1]

    counted = await checker.count(doors.record)
    counts = counted["counts"]
    assert counted["wrong"] == {}
    assert counts["orders"] == counts["answers_kept"] + counts["answers_kept_by_peer"] > 0


@pytest.mark.integration
async def test_the_checker_sees_an_answer_that_was_kept_after_its_order(doors):
    for side in SIDES:
        assert (await doors.place(side, f"{side}-5", order(f"{side}-late"))).status_code == 201
    connection = await asyncpg.connect(doors.record)
    change = connection.transaction()
    await change.start()
    await connection.execute("update idempotency.record set status = status where state = 'done'")
    await connection.execute("update peer.idempotency_key set status = status where status is not null")
    late = await connection.fetchval(checker.WRONG["orders whose answer was not kept in their own transaction"])
    await change.rollback()
    await connection.close()
    assert late >= 2


async def test_the_peers_limit_holds_each_client_to_its_own_rate(tmp_path):
    site, tokens = own_tokens(4, 2, tmp_path)
    checks = Checks(
        json.loads(site.jwks.read_bytes()), site.issuer, scope="orders:read", version="v2", per_second=1 / 20
    )
    one, other = (f"Bearer {token}" for token in of_two_clients(tokens))
    for _ in range(3):
        await checks(Response(), one, "v2")
    with pytest.raises(HTTPException) as refused:
        await checks(Response(), one, "")
    assert refused.value.status_code == 429
    assert (await checks(Response(), other, "2"))["sub"] != (await _claims(site, one))["sub"]


async def _claims(site, authorization):
    unlimited = Checks(json.loads(site.jwks.read_bytes()), site.issuer, scope="orders:read", version="v2")
    return await unlimited(Response(), authorization, "")
