import itertools
import sys
from pathlib import Path

import asyncpg
import pytest

sys.path.append(str(Path(__file__).parent))

import order_fakes as fakes
from order_world import PACE, World

from gateway.canonical.order import ExternalReference
from gateway.durable.schema import migrate_durable
from gateway.kernel.clock import SystemClock
from gateway.store.migrations import find_migrations, migrate
from gateway.store.postgres import Store
from process_apis.order_to_ship.invoice_rules import InvoicingOptions
from process_apis.order_to_ship.process import Options, OrderToShip

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
async def order_template(urls):
    """A database with every table orders need, to be copied."""
    await _administer(urls, "create database template_of_orders")
    url = urls.postgres.removesuffix("crossdock") + "template_of_orders"
    parts = ("gateway/store", "gateway/durable", "process_apis/order_to_ship")
    folders = [ROOT / part / "migrations" for part in parts]
    await migrate(url, find_migrations(folders))
    await migrate_durable(url)
    inside = await asyncpg.connect(url)
    await inside.execute(fakes.SCHEMA)
    await inside.close()
    yield "template_of_orders"
    await _administer(urls, "drop database template_of_orders with (force)")


async def _administer(urls, statement):
    connection = await asyncpg.connect(urls.postgres)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


_numbers = itertools.count(1)


async def _copied(urls, template):
    name = f"orders_{next(_numbers)}"
    connection = await asyncpg.connect(urls.postgres)
    await connection.execute(f"create database {name} template {template}")
    try:
        yield urls.postgres.removesuffix("crossdock") + name
    finally:
        await connection.execute(f"drop database {name} with (force)")
        await connection.close()


async def _world(url, call_timeout, invoicing):
    store = Store(url, size=24)
    await store.open()
    seams = fakes.Seams(url)
    await seams.open()
    process = OrderToShip(
        store, SystemClock(), items=fakes.Items(), claims=fakes.Claims(), systems=fakes.Systems(seams),
        options=Options(pace=PACE, call_timeout=call_timeout, invoicing=invoicing),
    )  # fmt: skip
    yield World(url, store, seams, process)
    await seams.close()
    await store.close()


@pytest.fixture
async def orders_database(urls, order_template):
    async for url in _copied(urls, order_template):
        yield url


@pytest.fixture(scope="module")
async def shared_database(urls, order_template):
    async for url in _copied(urls, order_template):
        yield url


@pytest.fixture(scope="module")
async def shared_world(request, shared_database):
    """One world for many cases, each with orders and items of its own. A call is given up after `CALL_TIMEOUT`.

    ERPs in `BILLING` are asked to bill.
    """
    timeout, erps = getattr(request.module, "CALL_TIMEOUT", 30.0), getattr(request.module, "BILLING", ())
    async for one in _world(shared_database, timeout, InvoicingOptions(systems=erps)):
        yield one


@pytest.fixture
async def world(shared_world):
    """A world in which nothing has happened yet: the module's database, emptied."""
    await shared_world.store.execute(fakes.EMPTY)
    yield shared_world
    shared_world.process._systems.erp.external_reference = ExternalReference.SEARCHABLE
