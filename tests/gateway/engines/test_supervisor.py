"""Engines that run, die, come back and stay out of each other's way."""

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
import time

import asyncpg
import msgspec
import nats
import psutil
import pytest
import redis.asyncio as redis

from gateway.engines import Engines, supervisor
from gateway.engines.process import Identity
from gateway.kernel.errors import Misconfigured, Rejected
from tests.gateway.engines.conftest import poll

pytestmark = pytest.mark.integration


async def write(urls):
    """One durable fact into each engine."""
    connection = await asyncpg.connect(urls.postgres)
    await connection.execute("CREATE TABLE IF NOT EXISTS fact (n int); INSERT INTO fact VALUES (1)")
    await connection.close()
    client = await nats.connect(urls.nats)
    await client.jetstream().add_stream(name="facts", subjects=["fact"])
    await client.jetstream().publish("fact", b"1")
    await client.close()
    cache = redis.Redis.from_url(urls.valkey)
    await cache.incr("fact")
    await cache.aclose()


async def read(urls):
    """How often each engine was told."""
    connection = await asyncpg.connect(urls.postgres)
    rows = await connection.fetchval("SELECT count(*) FROM fact")
    await connection.close()
    client = await nats.connect(urls.nats)
    messages = sum(info.state.messages for info in await client.jetstream().streams_info())
    await client.close()
    cache = redis.Redis.from_url(urls.valkey)
    counted = int(await cache.get("fact") or 0)
    await cache.aclose()
    return {"postgres": rows, "nats": messages, "valkey": counted}


@pytest.fixture(scope="module")
async def own(tmp_path_factory):
    """Engines of this module, to be mistreated, in a folder deeper than PostgreSQL and sockets take paths."""
    deep = tmp_path_factory.mktemp("own").joinpath(*["a-rather-deep-folder-name" * 8] * 6)
    engines = Engines(deep)
    await engines.start()
    await write(engines.urls)
    yield engines
    await engines.stop()


async def until_up(engines, name, after):
    deadline = time.monotonic() + 60
    while engines.status()[name].pid in (None, after):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    async with engines._busy[name]:
        pass


async def test_they_run_in_a_very_deep_folder(own):
    assert len(str(own.status()["postgres"].folder)) > 1024
    assert await read(own.urls) == {"postgres": 1, "nats": 1, "valkey": 1}


@pytest.mark.parametrize("name", ["postgres", "nats", "valkey"])
async def test_a_killed_engine_stays_down_until_restarted_and_keeps_its_data_and_port(own, name):
    before, urls = own.status()[name], own.urls
    await own.kill(name)
    assert own.status()[name].pid is None
    await own.restart(name)
    assert own.status()[name].pid not in (None, before.pid)
    assert own.urls == urls
    assert await read(own.urls) == {"postgres": 1, "nats": 1, "valkey": 1}


async def test_an_engine_killed_by_somebody_else_is_started_again(own):
    doomed = own.status()["nats"].pid
    psutil.Process(doomed).kill()
    await until_up(own, "nats", after=doomed)
    assert (await read(own.urls))["nats"] == 1


async def test_postgres_killed_under_load_keeps_every_acknowledged_row(own):
    connections = [await asyncpg.connect(own.urls.postgres) for _ in range(8)]
    await connections[0].execute("CREATE TABLE acknowledged (writer int, n int)")
    told = []

    async def insert(writer):
        for n in range(100_000):
            try:
                await connections[writer].execute("INSERT INTO acknowledged VALUES ($1, $2)", writer, n)
            except (asyncpg.PostgresError, asyncpg.InternalClientError, asyncpg.InterfaceError, OSError):
                return
            told.append((writer, n))

    writers = [asyncio.create_task(insert(writer)) for writer in range(8)]
    while len(told) < 200:  # noqa: ASYNC110 - polls what the writers did
        await asyncio.sleep(0.01)
    await own.kill("postgres")
    await asyncio.gather(*writers)
    await own.restart("postgres")
    connection = await asyncpg.connect(own.urls.postgres)
    found = {tuple(row) for row in await connection.fetch("SELECT writer, n FROM acknowledged")}
    await connection.close()
    assert set(told) <= found


async def test_carrier_and_cache_can_be_wiped_and_the_record_cannot(own):
    await own.wipe("nats")
    await own.wipe("valkey")
    assert await read(own.urls) == {"postgres": 1, "nats": 0, "valkey": 0}
    with pytest.raises(Rejected, match="not wiped"):
        await own.wipe("postgres")


async def test_nobody_gets_in_without_the_password(own):
    wrong = {name: getattr(own.urls, name) for name in ("postgres", "nats", "valkey")}
    for name, url in wrong.items():
        secret = own._folder.secret(name).reveal()
        assert secret in url
        wrong[name] = url.replace(secret, "wrong")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(wrong["postgres"])
    assert b"Authorization Violation" in await greet_nats(own.status()["nats"].port, "wrong")
    cache = redis.Redis.from_url(wrong["valkey"])
    with pytest.raises(redis.AuthenticationError):
        await cache.ping()
    await cache.aclose()


async def greet_nats(port, password):
    """What NATS says to a client (nats-py leaves a socket open when it is refused)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b'CONNECT {"user": "crossdock", "pass": "%s"}\r\nPING\r\n' % password.encode())
    said = await reader.read()
    writer.close()
    await writer.wait_closed()
    return said


async def test_passwords_are_in_private_files_and_in_nothing_that_is_printed(own):
    secrets = own._folder.path / "secrets"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    files = sorted(secrets.iterdir())
    assert [file.name for file in files] == ["nats", "postgres", "postgres-superuser", "valkey"]
    printed = [repr(own.urls), str(own.status())]
    for status in own.status().values():
        printed.append(" ".join(psutil.Process(status.pid).cmdline()))
        printed.append((own._folder.path / "logs" / f"{status.name}.log").read_text())
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert len(file.read_text()) >= 32
        assert not any(file.read_text() in text for text in printed)


async def test_they_listen_on_loopback_and_nowhere_else(own):
    for status in own.status().values():
        process = psutil.Process(status.pid)
        listening = [c for c in process.net_connections("all") if c.status == psutil.CONN_LISTEN]
        assert [tuple(c.laddr) for c in listening] == [("127.0.0.1", status.port)]
        assert not [c for c in process.net_connections("unix") if c.laddr]


async def test_they_never_run_as_root(own):
    for status in own.status().values():
        assert 0 not in psutil.Process(status.pid).uids()


async def test_postgres_is_durable_and_the_role_is_no_superuser(own):
    connection = await asyncpg.connect(own.urls.postgres)
    wanted = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "jit": "off",
        "max_connections": "200",
    }
    assert {name: await connection.fetchval("SELECT current_setting($1)", name) for name in wanted} == wanted
    assert not await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    await connection.close()


async def test_lost_passwords_are_set_anew(tmp_path):
    async with Engines(tmp_path / "e", only=["postgres"]) as old:
        pass
    (tmp_path / "e" / "secrets" / "postgres").unlink()
    async with Engines(tmp_path / "e", only=["postgres"]) as new:
        assert new.postgres != old.postgres
        connection = await asyncpg.connect(new.postgres)
        await connection.close()


async def test_an_initialisation_that_was_cut_short_starts_over(tmp_path):
    (tmp_path / "e" / "postgres").mkdir(parents=True)
    (tmp_path / "e" / "postgres" / "PG_VERSION").write_text("18\n")
    (tmp_path / "e" / "state.json").write_text('{"notes": {"cluster": "initialising"}}')
    async with Engines(tmp_path / "e", only=["postgres"]) as urls:
        assert urls.postgres


async def test_an_unknown_engine_is_refused(tmp_path):
    with pytest.raises(Misconfigured, match="no engine is called mysql"):
        Engines(tmp_path, only=["mysql"])


# --- ways to end ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_cleanly_and_the_next_start_needs_no_recovery(tmp_path, supervise, number):
    supervisor = supervise(tmp_path / "e").wait_until_up()
    engines = supervisor.engines
    assert set(engines) == {"postgres", "nats", "valkey"}
    assert supervisor.ends_after(number) == 0
    assert not any(engine.alive for engine in engines.values())
    assert supervisor.output.index("Valkey: stopping") < supervisor.output.index("NATS: stopping")
    assert supervisor.output.index("NATS: stopping") < supervisor.output.index("PostgreSQL: stopping")
    log = (tmp_path / "e" / "logs" / "postgres.log").read_text()
    assert "received fast shutdown request" in log
    assert log.rstrip().endswith("database system is shut down")
    assert supervisor.engines == {}


def test_a_signal_during_the_start_stops_it(tmp_path, supervise):
    supervisor = supervise(tmp_path / "e")
    poll(lambda: "creating the database cluster" in supervisor.output)
    assert supervisor.ends_after(signal.SIGINT) == 0
    assert "start was interrupted" in supervisor.output
    assert supervise(tmp_path / "e").wait_until_up().ends_after(signal.SIGINT) == 0


async def test_engines_end_with_a_killed_supervisor_and_the_next_one_finds_their_data(tmp_path, supervise):
    doomed = supervise(tmp_path / "e").wait_until_up()
    engines = doomed.engines
    doomed.ends_after(signal.SIGKILL)
    if sys.platform == "linux":
        poll(lambda: not any(engine.alive for engine in engines.values()))
    async with Engines(tmp_path / "e") as urls:
        assert not any(engine.alive for engine in engines.values())
        await write(urls)
        assert await read(urls) == {"postgres": 1, "nats": 1, "valkey": 1}


async def abandon(engines):
    """What the death of a supervisor leaves where the kernel does not tell its children."""
    for watcher in engines._watchers:
        watcher.cancel()
    engines._folder.release()
    return engines._children


@pytest.mark.parametrize("name", ["postgres", "valkey"])
async def test_an_engine_that_outlived_its_supervisor_is_taken_over(tmp_path, name):
    first = Engines(tmp_path / "e", only=[name])
    await first.start()
    (left,) = (await abandon(first)).values()
    lines = []
    async with Engines(tmp_path / "e", only=[name], progress=lines.append) as urls:
        assert left.exit_status is not None
        assert urls == first.urls
    assert f"ending process {left.identity.pid}, left by a supervisor that died" in "\n".join(lines)


async def test_a_process_in_the_data_folder_that_nobody_recorded_is_refused_by_pid(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "_STRAY_PATIENCE", 0.2)
    first = Engines(tmp_path / "e", only=["postgres"])
    await first.start()
    (left,) = (await abandon(first)).values()
    (tmp_path / "e" / "state.json").unlink()
    with pytest.raises(Misconfigured) as refusal:
        await Engines(tmp_path / "e", only=["postgres"]).start()
    assert refusal.value.code == "engines.stale_process"
    assert f"kill -INT {left.identity.pid}" in refusal.value.detail
    assert left.exit_status is None
    await left.end([(signal.SIGINT, 30)])
    async with Engines(tmp_path / "e", only=["postgres"]) as urls:
        assert urls.postgres


async def test_a_long_recovery_is_waited_for_and_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "_PROGRESS_EVERY", 0.2)
    answers = supervisor.Valkey.ready
    lines = []

    def reported():
        return sum(line.startswith("Valkey: starting for") for line in lines) >= 2

    async def ready(self):
        return reported() and await answers(self)

    monkeypatch.setattr(supervisor.Valkey, "ready", ready)
    async with Engines(tmp_path / "e", only=["valkey"], progress=lines.append):
        assert reported()
        assert lines[-1].startswith("Valkey: ready on port")


async def test_a_terminal_that_went_away_does_not_keep_engines_running(tmp_path):
    def closed(_line):
        raise BrokenPipeError

    engines = Engines(tmp_path / "e", only=["valkey"], progress=closed)
    await engines.start()
    (child,) = engines._children.values()
    await engines.stop()
    assert child.exit_status is not None


# --- what may be in the way -------------------------------------------------------------------------------------------


def test_a_second_supervisor_on_the_same_folder_is_refused_and_harms_nothing(tmp_path, supervise):
    first = supervise(tmp_path / "e", "valkey").wait_until_up()
    engines = first.engines
    second = subprocess.run(
        [*first.popen.args[:3], str(tmp_path / "e")], capture_output=True, text=True, timeout=120, check=False
    )
    assert second.returncode == 2
    assert f"in use by another crossdock, process {first.popen.pid}" in second.stderr
    assert len(second.stderr.splitlines()) == 1
    assert all(engine.alive for engine in engines.values())


async def test_of_supervisors_that_start_together_one_wins(tmp_path):
    several = [Engines(tmp_path / "e", only=["valkey"]) for _ in range(4)]
    ends = await asyncio.gather(*(engines.start() for engines in several), return_exceptions=True)
    refusals = [end for end in ends if isinstance(end, Misconfigured)]
    assert [refusal.code for refusal in refusals] == ["engines.locked"] * 3
    for engines in several:
        await engines.stop()


async def test_a_taken_port_is_refused_with_the_name_of_who_has_it(tmp_path):
    async with Engines(tmp_path / "e", only=["valkey"]):
        pass
    port = msgspec.json.decode((tmp_path / "e" / "state.json").read_bytes())["ports"]["valkey"]
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        with pytest.raises(Misconfigured) as refusal:
            await Engines(tmp_path / "e", only=["valkey"]).start()
    assert refusal.value.code == "engines.port_taken"
    assert f"port {port}" in refusal.value.detail
    assert f"process {psutil.Process().pid}" in refusal.value.detail


def start_as_engines_do(command):
    return subprocess.Popen(command, user=65534 if os.geteuid() == 0 else None)


async def test_a_stale_lock_file_whose_pid_was_handed_out_again_is_no_obstacle(tmp_path):
    engines = Engines(tmp_path / "e", only=["postgres"])
    await engines.start()
    await engines.kill("postgres")
    await engines.stop()
    # PostgreSQL would take this for a postmaster: it runs as the same user.
    with start_as_engines_do(["sleep", "60"]) as innocent:
        lock = tmp_path / "e" / "postgres" / "postmaster.pid"
        lock.write_text(lock.read_text().replace(lock.read_text().split("\n")[0], str(innocent.pid), 1))
        state = tmp_path / "e" / "state.json"
        kept = msgspec.json.decode(state.read_bytes())
        kept["processes"] = {"postgres": {"pid": innocent.pid, "mark": "another boot:1"}}
        state.write_bytes(msgspec.json.encode(kept))
        async with Engines(tmp_path / "e", only=["postgres"]) as urls:
            assert urls.postgres
        assert Identity.of(innocent.pid)
        innocent.kill()


async def test_data_of_another_major_version_is_refused_and_left_alone(tmp_path):
    data = tmp_path / "e" / "postgres"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("17\n")
    with pytest.raises(Misconfigured, match="holds data of PostgreSQL 17, and this installation brings 18") as refusal:
        await Engines(tmp_path / "e", only=["postgres"]).start()
    assert refusal.value.code == "engines.other_major_version"
    assert [file.name for file in data.iterdir()] == ["PG_VERSION"]


async def test_something_else_in_the_data_folder_is_refused_and_left_alone(tmp_path):
    data = tmp_path / "e" / "postgres"
    data.mkdir(parents=True)
    (data / "thesis.txt").write_text("years of work")
    with pytest.raises(Misconfigured, match="not empty and holds no PostgreSQL data"):
        await Engines(tmp_path / "e", only=["postgres"]).start()
    assert (data / "thesis.txt").read_text() == "years of work"


async def test_an_engine_that_cannot_start_says_why_and_leaves_nothing_running(tmp_path):
    engines = Engines(tmp_path / "e", only=["valkey", "postgres"])
    await engines.start()
    await engines.stop()
    (tmp_path / "e" / "postgres" / "postgresql.conf").write_text("shared_buffers = 'a lot'\n")
    with pytest.raises(Misconfigured) as refusal:
        await engines.start()
    assert refusal.value.code == "engines.start_failed"
    assert 'invalid value for parameter "shared_buffers"' in refusal.value.detail
    assert all(status.pid is None for status in engines.status().values())
