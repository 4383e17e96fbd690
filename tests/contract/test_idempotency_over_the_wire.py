"""One key, one execution: against two worker processes, killed in the middle, with engines lost and credentials ended.

A handler is held by a lock on the table or row that it writes, taken here; the record lets go of a lock that is not to
be had after five seconds, so what happens meanwhile happens at once.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from running_gateway import TENANT, RunningGateway
from worker_processes import back_again, connect_to_each, grown_up, kill_workers

from gateway.app import administer
from gateway.engines import Engines
from gateway.identity.clients import add_api_key, change_scopes, revoke_api_key
from gateway.identity.partners import PARTNER_SCOPES
from gateway.settings import load_settings

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("contract")]

ORDERS = "/storefront/v1/orders"
_WRITES = "lock table order_to_ship.sales_order in share row exclusive mode"
_PATIENCE = 60.0


@pytest.fixture
def door(gateway_of_two: RunningGateway) -> RunningGateway:
    """Two worker processes."""
    return gateway_of_two


@pytest.fixture
async def record(door: RunningGateway) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the gateway's database."""
    connection = await asyncpg.connect(database_of(door))
    yield connection
    await connection.close()


def database_of(door: RunningGateway) -> str:
    return (door.settings_path.parent / "postgres").read_text(encoding="utf-8")


def an_order(**changes: Any) -> dict[str, Any]:
    address = {"name": "A", "street": "B 1", "city": "C", "postal_code": "1", "country": "US"}
    lines = [{"sku": "SKU-0001", "quantity": "1"}]
    return {"external_number": f"PO-{uuid4()}", "ship_to": address, "lines": lines, **changes}


def a_key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4())}


@asynccontextmanager
async def held(door: RunningGateway, statement: str, *args: Any) -> AsyncIterator[None]:
    """What `statement` locks is locked inside the block."""
    connection = await asyncpg.connect(database_of(door))
    try:
        async with connection.transaction():
            await connection.execute(statement, *args)
            yield
    finally:
        await connection.close()


async def until(ask, seconds: float = _PATIENCE) -> Any:
    """What `ask` answers once that is something."""
    end = time.monotonic() + seconds
    while not (found := await ask()):
        assert time.monotonic() < end, "it did not come to that in time"
        await asyncio.sleep(0.02)
    return found


async def blocked(record: asyncpg.Connection, least: int = 1) -> list[int]:
    """The backends that wait for a lock, once there are `least`."""

    async def ask() -> list[int]:
        rows = await record.fetch(
            "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        return [row["pid"] for row in rows] if len(rows) >= least else []

    return await until(ask)


async def end_backends(record: asyncpg.Connection, pids: list[int]) -> None:
    """What a killed process had asked the record for is not done any more."""
    for pid in pids:
        await record.execute("select pg_terminate_backend($1, 5000)", pid)


async def end_leases(record: asyncpg.Connection) -> None:
    await record.execute("update idempotency.record set lease_until = now() - interval '1 s' where state = 'reserved'")


async def orders_numbered(record: asyncpg.Connection, order: dict[str, Any]) -> int:
    number = order["external_number"]
    return await record.fetchval("select count(*) from order_to_ship.sales_order where external_number = $1", number)


def code_of(answer: httpx.Response) -> str:
    return answer.json().get("code", "") if answer.status_code >= 400 else ""


async def sent(door: RunningGateway, path: str, body: dict[str, Any], key: dict[str, str]) -> httpx.Response | None:
    """The answer, None where the connection was lost."""
    try:
        async with door.client() as client:
            return await client.post(path, json=body, headers=key)
    except httpx.HTTPError:
        return None


async def test_one_key_at_both_workers_at_once_is_executed_once(door: RunningGateway, record):
    order, key = an_order(), a_key()
    clients = await connect_to_each(door, workers=2, each=5)
    try:
        async with held(door, _WRITES):
            asked = [asyncio.create_task(client.post(ORDERS, json=order, headers=key)) for client in clients]
            await blocked(record)
            refused, end = set(), time.monotonic() + 2.5  # slow machines may not have answered all of them by then
            while len(refused) < len(asked) - 1 and (not refused or time.monotonic() < end):
                refused, _ = await asyncio.wait(asked, timeout=0.05)
        answers = await asyncio.gather(*asked)
        made = [answer for answer in answers if answer.status_code == 201]
        assert len({answer.content for answer in made}) == 1
        for answer in answers:
            if answer.status_code != 201:
                assert (answer.status_code, code_of(answer)) == (409, "idempotency.in_flight")
                assert int(answer.headers["retry-after"]) >= 1
        assert all(task.result().status_code == 409 for task in refused)
        again = await asyncio.gather(*(client.post(ORDERS, json=order, headers=key) for client in clients))
        assert {answer.content for answer in again} == {made[0].content}
        assert {answer.headers["idempotent-replayed"] for answer in again} == {"true"}
        assert await orders_numbered(record, order) == 1
    finally:
        for client in clients:
            await client.aclose()


async def test_workers_killed_in_the_middle_of_a_handler_leave_an_unknown_outcome_that_is_recalled(door, record):
    order, key = an_order(), a_key()
    await grown_up(door)
    async with held(door, _WRITES):
        lost = asyncio.create_task(sent(door, ORDERS, order, key))
        waiting = await blocked(record)
        await kill_workers(door)
        await end_backends(record, waiting)
    assert await lost is None
    await back_again(door, 2)
    # Until its lease is over the first may still be at work; then it is known that it did nothing.
    early = await sent(door, ORDERS, order, key)
    assert (early.status_code, code_of(early)) == (409, "idempotency.in_flight")
    assert await orders_numbered(record, order) == 0
    await end_leases(record)
    answers = await asyncio.gather(*(sent(door, ORDERS, order, key) for _ in range(6)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert {code_of(answer) for answer in answers} <= {"", "idempotency.in_flight", "idempotency.outcome_unknown"}
    final = await sent(door, ORDERS, order, key)
    assert (final.status_code, final.headers["idempotent-replayed"]) == (201, "true")
    assert {answer.content for answer in answers if answer.status_code == 201} <= {final.content}
    assert await orders_numbered(record, order) == 1


async def test_workers_killed_between_the_effect_and_its_answer_tell_the_stored_truth_and_do_nothing_again(
    door: RunningGateway, record
):
    await grown_up(door)
    placed = (await sent(door, ORDERS, an_order(), a_key())).json()
    path, body, key = f"{ORDERS}/{placed['id']}/cancellation", {"reason": "customer_request"}, a_key()
    row = "select key from idempotency.record where state = 'reserved' and route like '%cancellation'"
    async with held(door, "select 1 from order_to_ship.sales_order where order_id = $1 for update", placed["id"]):
        lost = asyncio.create_task(sent(door, path, body, key))
        await blocked(record)
        reserved = await until(lambda: record.fetchval(row))
        answer_held = held(door, "select 1 from idempotency.record where key = $1 for update", reserved)
        await answer_held.__aenter__()
    try:
        asked = "select cancel_requested_at from order_to_ship.sales_order where order_id = $1"
        await until(lambda: record.fetchval(asked, placed["id"]))
        waiting = await blocked(record)
        await kill_workers(door)
        await end_backends(record, waiting)
    finally:
        await answer_held.__aexit__(None, None, None)
    assert await lost is None
    first = await record.fetchval(asked, placed["id"])
    await back_again(door, 2)
    await end_leases(record)
    told = await sent(door, path, body, key)
    assert (told.status_code, told.headers["idempotent-replayed"]) == (202, "true")
    again = await sent(door, path, body, key)
    assert (again.status_code, again.content) == (202, told.content)
    assert await record.fetchval(asked, placed["id"]) == first
    entries = "select count(*) from store.audit where action = 'order.cancel' and subject = $1"
    assert await record.fetchval(entries, placed["id"]) == 1


async def test_a_first_holder_that_comes_too_late_stores_and_commits_nothing(door: RunningGateway, record):
    order, key = an_order(), a_key()
    async with held(door, _WRITES):
        slow = asyncio.create_task(sent(door, ORDERS, order, key))
        await blocked(record)
        row = await record.fetchrow("select key, fence from idempotency.record where state = 'reserved'")
        await end_leases(record)
        second = asyncio.create_task(sent(door, ORDERS, order, key))
        taken = "select true from idempotency.record where key = $1 and fence <> $2"
        await until(lambda: record.fetchval(taken, row["key"], row["fence"]))
    late, made = await asyncio.gather(slow, second)
    assert (late.status_code, code_of(late)) == (409, "idempotency.lost")
    assert made.status_code == 201
    again = await sent(door, ORDERS, order, key)
    assert (again.content, again.headers["idempotent-replayed"]) == (made.content, "true")
    assert await orders_numbered(record, order) == 1


async def test_a_replay_is_authorised_again(door: RunningGateway):
    """With its own credential revoked: 401. With another that may not: 403. With another that may: the same answer."""
    settings, partner = load_settings(door.settings_path), door.second
    order, key = an_order(), a_key()
    given = {"tenant": TENANT, "client_id": partner.client_id}

    async def administered(work) -> Any:
        return await administer(settings, work)

    own = await administered(lambda c, ring: add_api_key(c, ring, environment="live", **given))

    async def post(api_key: str) -> httpx.Response:
        async with door.client(api_key) as client:
            return await client.post(ORDERS, json=order, headers=key)

    async def answered(api_key: str, status: int) -> httpx.Response:
        """Once both workers answer with `status`: they learn of a change within five seconds."""
        end, alike = time.monotonic() + _PATIENCE, 0
        while alike < 6:
            got = await post(api_key)
            alike = alike + 1 if got.status_code == status else 0
            assert time.monotonic() < end, got.text
        return got

    made = await answered(own, 201)
    await administered(lambda c, _: revoke_api_key(c, key_id=own.split("_")[2], **given))
    await answered(own, 401)
    replayed = await post(partner.api_key)
    assert (replayed.content, replayed.headers["idempotent-replayed"]) == (made.content, "true")
    await administered(lambda c, _: change_scopes(c, scopes=["orders:read"], **given))
    try:
        refused = await answered(partner.api_key, 403)
        assert made.json()["id"] not in refused.text
    finally:
        await administered(lambda c, _: change_scopes(c, scopes=list(PARTNER_SCOPES), **given))
    assert (await answered(partner.api_key, 201)).content == made.content


async def test_the_record_outlives_an_emptied_cache(door: RunningGateway, engines: Engines, record):
    order, key = an_order(), a_key()
    made = await sent(door, ORDERS, order, key)
    await engines.wipe("valkey")
    again = await asyncio.gather(*(sent(door, ORDERS, order, key) for _ in range(8)))
    assert {answer.content for answer in again} == {made.content}
    assert {answer.headers["idempotent-replayed"] for answer in again} == {"true"}
    assert await orders_numbered(record, order) == 1


@pytest.mark.long
async def test_while_the_record_is_down_nothing_is_done_and_the_key_works_afterwards(
    door: RunningGateway, engines: Engines
):
    order, key = an_order(), a_key()
    async with door.client() as client:
        assert (await client.post(ORDERS, json=an_order(), headers=a_key())).status_code == 201
        await engines.kill("postgres")
        try:
            answers = [await client.post(ORDERS, json=order, headers=key) for _ in range(3)]
        finally:
            await engines.restart("postgres")
    for answer in answers:
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["retry-after"]) >= 1
    await back_again(door, 2)
    made = await until(lambda: _accepted(door, order, key))
    again = await sent(door, ORDERS, order, key)
    assert again.json() == made
    connection = await asyncpg.connect(database_of(door))
    assert await orders_numbered(connection, order) == 1
    await connection.close()


async def _accepted(door: RunningGateway, order: dict[str, Any], key: dict[str, str]) -> dict[str, Any] | None:
    answer = await sent(door, ORDERS, order, key)
    return answer.json() if answer is not None and answer.status_code == 201 else None


MALFORMED = [b'"', b'"a', b'a"', b'""', b"a b", b'"a" "b"', b'"a", "b"', b"a, b", b"\x80", b"a;v=1 b",
             b"a\\", b'"\\x"', b'"\xc3\xa9"', b'"' + b"x" * 256 + b'"', b"x" * 4_000]  # fmt: skip


async def test_a_malformed_key_is_400_before_anything_is_recorded(door: RunningGateway, record):
    before = await record.fetchval("select count(*) from idempotency.record")
    body = json.dumps(an_order()).encode()
    async with door.client() as client:
        for value in MALFORMED:
            fields = [(b"Idempotency-Key", value), (b"Content-Type", b"application/json")]
            answer = await client.post(ORDERS, content=body, headers=fields)
            assert answer.status_code == 400, (value, answer.text)
        fields = [*[(b"Idempotency-Key", b"abc")] * 2, (b"Content-Type", b"application/json")]
        assert (await client.post(ORDERS, content=body, headers=fields)).status_code == 400
    assert await record.fetchval("select count(*) from idempotency.record") == before


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_a_lost_request_that_could_do_nothing_is_settled_and_does_not_stay_unknown(door, record, version):
    """Its worker was killed between reserving the key and refusing it: that nothing was done is certain."""
    orders = f"/storefront/{version}/orders"
    foreign = an_order(account="not mine") if version == "v1" else _in_v2(an_order(account="not mine"))
    for path, body, status, code in (
        (f"{orders}/ord_00000000000000000000000000/cancellation", {"reason": "other"}, 404, "order.not_found"),
        (orders, foreign, 403, "account.not_allowed"),
    ):
        key = a_key()
        answers = [await sent(door, path, body, key)]
        lost = await record.fetchval(
            "update idempotency.record set state = 'unknown', status = null, reply = null, "
            "lease_until = clock_timestamp() - interval '1 hour' where key = (select key from idempotency.record "
            "where status = $1 order by created_at desc limit 1) returning key",
            status,
        )
        answers += [await sent(door, path, body, key) for _ in range(2)]
        assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(status, code)] * 3
        kept = await record.fetchrow("select state, status from idempotency.record where key = $1", lost)
        assert tuple(kept) == ("done", status)


def _in_v2(order: dict[str, Any]) -> dict[str, Any]:
    lines = [{"sku": line["sku"], "quantity": {"amount": line["quantity"], "unit": "EA"}} for line in order["lines"]]
    rest = {name: value for name, value in order.items() if name != "ship_to"}
    return {**rest, "lines": lines, "delivery": {"ship_to": order["ship_to"]}}
