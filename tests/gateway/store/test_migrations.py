import asyncio
import sys
from pathlib import Path

import asyncpg
import pytest

from gateway.kernel.errors import Misconfigured, Unavailable
from gateway.store.migrations import find_migrations, migrate, require_migrations
from gateway.store.postgres import Store

from .conftest import MIGRATIONS

integration = pytest.mark.integration

RACER = """
import asyncio, sys
from pathlib import Path
from gateway.store.migrations import find_migrations, migrate
print(asyncio.run(migrate(sys.argv[1], find_migrations([Path(sys.argv[2])]))))
"""


def component(tmp_path, *files):
    folder = tmp_path / "process_apis" / "thing" / "migrations"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files:
        (folder / name).write_text(text)
    return folder


def test_files_are_found_in_order_and_named_after_their_component(tmp_path):
    folder = component(tmp_path, ("0002_b.sql", "select 1"), ("0001_a.sql", "select 1"))
    found = find_migrations([folder])
    assert [(each.component, each.number) for each in found] == [("process_apis/thing", 1), ("process_apis/thing", 2)]


@pytest.mark.parametrize("name", ["0002_gap.sql", "first.sql"])
def test_a_gap_or_a_missing_number_is_refused(tmp_path, name):
    with pytest.raises(Misconfigured):
        find_migrations([component(tmp_path, (name, "select 1"))])


@integration
async def test_four_processes_at_once_run_each_migration_once(database, tmp_path):
    slow = "create schema thing; create table thing.t (n int); insert into thing.t values (1); select pg_sleep(0.2);"
    folder = component(tmp_path, ("0001_a.sql", slow), ("0002_b.sql", "insert into thing.t values (2)"))
    racers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", RACER, database, str(folder), stdout=asyncio.subprocess.PIPE
        )
        for _ in range(4)
    ]
    counts = sorted([int((await racer.communicate())[0]) for racer in racers])
    assert counts == [0, 0, 0, 2]
    connection = await asyncpg.connect(database)
    assert await connection.fetchval("select array_agg(n order by n) from thing.t") == [1, 2]
    await connection.close()


@integration
async def test_a_file_that_changed_after_it_ran_is_refused(database, tmp_path):
    folder = component(tmp_path, ("0001_a.sql", "create schema thing"))
    assert await migrate(database, find_migrations([folder])) == 1
    component(tmp_path, ("0001_a.sql", "create schema thing; select 1"))
    with pytest.raises(Misconfigured, match="changed after it ran"):
        await migrate(database, find_migrations([folder]))


@integration
async def test_a_database_of_a_newer_release_is_refused_and_left_alone(database, tmp_path):
    folder = component(tmp_path, ("0001_a.sql", "create schema thing"), ("0002_b.sql", "create table thing.t ()"))
    newer = find_migrations([folder])
    await migrate(database, newer)
    with pytest.raises(Misconfigured, match="another release"):
        await migrate(database, newer[:1])


@integration
async def test_a_migration_that_fails_leaves_nothing_behind_and_runs_when_mended(database, tmp_path):
    folder = component(tmp_path, ("0001_a.sql", "create schema thing; select 1/0"))
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(database, find_migrations([folder]))
    component(tmp_path, ("0001_a.sql", "create schema thing"))
    assert await migrate(database, find_migrations([folder])) == 1


@integration
async def test_an_empty_stranger_or_another_installation_is_not_written_to(database):
    expected = "00000000-0000-4000-8000-000000000000"
    with pytest.raises(Misconfigured, match="it is empty"):
        await migrate(database, MIGRATIONS, installation=expected)
    connection = await asyncpg.connect(database)
    assert await connection.fetchval("select to_regnamespace('store')") is None
    await migrate(database, MIGRATIONS)
    with pytest.raises(Misconfigured, match="belongs to installation"):
        await migrate(database, MIGRATIONS, installation=expected)
    found = await connection.fetchval("select installation_id::text from store.installation")
    await connection.close()
    assert await migrate(database, MIGRATIONS, installation=found) == 0


@integration
async def test_a_record_that_lacks_a_migration_is_not_ready(database, tmp_path):
    first = find_migrations([component(tmp_path, ("0001_a.sql", "select 1"))])
    await migrate(database, [*MIGRATIONS, *first])
    both = find_migrations([component(tmp_path, ("0002_b.sql", "select 1"))])
    store = Store(database, size=1)
    await store.open()
    try:
        await require_migrations(store, first)
        with pytest.raises(Unavailable, match="process_apis/thing 2"):
            await require_migrations(store, both)
    finally:
        await store.close()


@integration
async def test_a_server_that_is_down_is_unavailable_and_names_what_to_check():
    with pytest.raises(Unavailable, match=r"store\.url"):
        await migrate("postgresql://a:secret@127.0.0.1:1/x", [])


def test_the_shipped_migrations_have_no_gap():
    assert [each.path for each in MIGRATIONS] == sorted(Path(MIGRATIONS[0].path).parent.glob("*.sql"))
