"""A record with the queue, and an owner of troubles whose record is a table of the same database."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.canonical.trouble import Effect, Trouble, TroubleClass, Verb
from gateway.kernel.context import Caller, Principal, Zone
from gateway.kernel.errors import Conflict
from gateway.store.migrations import find_migrations
from gateway.store.postgres import Store
from process_apis.exceptions.models import Entry, Wanted
from process_apis.exceptions.options import ExceptionOptions
from process_apis.exceptions.process import Exceptions
from tests.records import Records

ROOT = Path(__file__).parents[3]
MIGRATIONS = find_migrations([ROOT / "gateway/store/migrations", ROOT / "process_apis/exceptions/migrations"])


async def with_box(url: str) -> None:
    """`tries`: how often it was asked to try again."""
    connection = await asyncpg.connect(url)
    await connection.execute(
        "create table box (tenant text, key text, last_at timestamptz default clock_timestamp(), code text default 'c',"
        " by_itself timestamptz, tries int default 0, payload jsonb default '{}', number int default 1,"
        " primary key (tenant, key))"
    )
    await connection.close()


class Box:
    """An owner on a table: what is in it stands still."""

    kind = "box"

    async def troubles(self, connection: Any, tenant: str, *, limit: int) -> Sequence[Trouble]:
        rows = await connection.fetch("select * from box where tenant = $1 order by key limit $2", tenant, limit)
        return [
            Trouble(
                key=row["key"], error_class=TroubleClass.BUSINESS, effect=Effect.DELAYS, fault_domain="erp",
                code=row["code"], detail="it stands still", about=row["key"], count=row["number"],
                raised_at=row["last_at"], last_at=row["last_at"], by_itself_at=row["by_itself"],
                verbs=(Verb.RETRY, Verb.EDIT, Verb.IGNORE),
            )
            for row in rows
        ]  # fmt: skip

    async def payload(self, connection: Any, tenant: str, key: str) -> Mapping[str, Any] | None:
        text = await connection.fetchval("select payload::text from box where tenant = $1 and key = $2", tenant, key)
        return None if text is None else json.loads(text)

    async def retry(self, connection: Any, caller: Caller, key: str) -> None:
        tried = await connection.execute(
            "update box set tries = tries + 1 where tenant = $1 and key = $2", caller.tenant, key
        )
        if tried == "UPDATE 0":
            raise Conflict("it is over", code="exceptions.over")

    async def edit(self, connection: Any, caller: Caller, key: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        before = await self.payload(connection, caller.tenant, key)
        await self.retry(connection, caller, key)
        await connection.execute(
            "update box set payload = $3::jsonb where tenant = $1 and key = $2", caller.tenant, key, json.dumps(payload)
        )
        return before or {}

    async def ignore(self, connection: Any, caller: Caller, key: str, reason: str) -> None:
        await connection.execute("delete from box where tenant = $1 and key = $2", caller.tenant, key)


class Desk:
    """The queue on that record, and what tests do to the owner."""

    def __init__(self, store: Store, options: ExceptionOptions) -> None:
        self.store = store
        self.exceptions = Exceptions(store, [Box()], options)

    def caller(self, name: str = "ada", tenant: str = "acme") -> Caller:
        principal = Principal(
            subject=name, tenant=tenant, zones=frozenset({Zone.PROCESS}), scopes=frozenset(), credential="key"
        )
        return Caller(principal=principal, correlation_id="c", request_id="r", deadline=float("inf"))

    async def put(self, key: str, tenant: str = "acme", **columns: Any) -> None:
        """It fails, or fails again."""
        await self.store.execute(
            "insert into box (tenant, key, code, number) values ($1, $2, $3, $4) on conflict (tenant, key) do update"
            " set last_at = clock_timestamp(), code = excluded.code, number = excluded.number",
            tenant, key, columns.get("code", "c"), columns.get("number", 1),
        )  # fmt: skip

    async def take(self, key: str, tenant: str = "acme") -> None:
        """It went on."""
        await self.store.execute("delete from box where tenant = $1 and key = $2", tenant, key)

    async def look(self, tenant: str = "acme") -> int:
        return await self.exceptions.sweep.look(tenant)

    async def one(self, key: str, tenant: str = "acme") -> Entry:
        row = await self.store.fetchrow(
            "select entry from exceptions.entry where tenant = $1 and key = $2", tenant, key
        )
        return await self.exceptions.get(tenant, row["entry"])

    async def story(self, key: str) -> list[tuple[str, str]]:
        return [(step.what, step.actor) for step in await self.exceptions.history(await self.one(key))]

    async def listed(self, tenant: str = "acme", **wanted: Any) -> list[str]:
        return [each.key for each in await self.exceptions.listed(tenant, Wanted(**wanted))]


@pytest.fixture
async def store(records: Records) -> AsyncIterator[Store]:
    async with records.lent(MIGRATIONS, with_box) as url:
        made = Store(url, size=8)
        await made.open()
        yield made
        await made.close()


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store, ExceptionOptions())
