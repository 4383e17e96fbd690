"""Where the measuring happens: fresh engines, a migrated record with items in it, settings, servers on one core."""

from __future__ import annotations

import base64
import json
import os
import random
import secrets
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.processes import ROOT, children_of, free_port, processor_seconds, running
from gateway.app import administer, migrate_record
from gateway.engines import EngineUrls
from gateway.identity.partners import PARTNER_SCOPES, add_partner
from gateway.settings import load_settings

TENANT = "bench"
ABOUT_PEER = "The peer's limiter counts in its own process only; ours leases from a store that all workers share."
PROXIED_PATH = "/bench/v1/orders/ord_1"  # of `proxying_settings`
_ENOUGH = "100000000/minute"


def cores() -> tuple[int, int]:
    """The core of the server and the core of everything else (the same one where there is only one)."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[-1], allowed[0]


async def prepare(folder: Path, urls: EngineUrls, seed: int) -> tuple[Path, list[str], list[Any]]:
    """Settings file, item ids and partner credentials of a fresh installation. What is in it follows from `seed`."""
    installation = await migrate_record(urls.postgres, progress=lambda _: None)
    port = free_port()
    for name, value in {"store": urls.postgres, "cache": urls.valkey, "nats": "nats://127.0.0.1:1"}.items():
        (folder / name).write_text(value, encoding="utf-8")
    (folder / "key").write_text(base64.b64encode(secrets.token_bytes(32)).decode(), encoding="utf-8")
    settings = folder / "bench.toml"
    settings.write_text(_settings(folder, installation, port), encoding="utf-8")
    chosen = random.Random(seed)
    items = [f"itm_{''.join(chosen.choices('0123456789abcdefghjkmnpqrstvwxyz', k=26))}" for _ in range(200)]
    connection = await asyncpg.connect(urls.postgres)
    await connection.execute("insert into items.catalogue (tenant, version) values ($1, 1)", TENANT)
    await connection.executemany(
        "insert into items.item values ($1, $2, $3, $4, 'EA', true, $5, 'USD', 'bench', 1, 1, now())",
        [(TENANT, item, f"SKU-{n:04d}", f"Article {n}", chosen.randint(1, 9999)) for n, item in enumerate(items)],
    )
    await connection.close()

    async def add(connection: Any, ring: Any) -> list[Any]:
        return [
            await add_partner(
                connection, ring, tenant=TENANT, name=f"Partner {number}", channel="web", plan="standard",
                accounts=[f"C{number}"], scopes=PARTNER_SCOPES,
            )
            for number in range(20)
        ]  # fmt: skip

    return settings, items, await administer(load_settings(settings), add)


def _settings(folder: Path, installation: str, port: int) -> str:
    return f"""
tenant = "{TENANT}"
[store]
url = "file:{folder}/store"
installation = "{installation}"
[cache]
url = "file:{folder}/cache"
[backbone]
url = "file:{folder}/nats"
[secrets.keys]
1 = "file:{folder}/key"
[http]
port = {port}
public_url = "http://127.0.0.1:{port}"
[identity]
issuer = "http://127.0.0.1:{port}"
token_lifetime = 7200
[rate_limit.addresses]
rate = "{_ENOUGH}"
[rate_limit.plans.standard.default]
rate = "{_ENOUGH}"
[[channels]]
name = "web"
"""


def proxying_settings(settings: Path, upstream: int) -> Path:
    """The same settings with one proxied API before `upstream`, all of its own settings at their defaults."""
    document = settings.with_name("upstream.json")
    answer = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}
    operation = {
        "operationId": "getOrder",
        "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
        "responses": {"200": {"description": "It.", "content": {"application/json": {"schema": answer}}}},
    }
    content = {
        "openapi": "3.1.0",
        "info": {"title": "Upstream", "version": "1"},
        "paths": {"/orders/{id}": {"get": operation}},
    }
    document.write_text(json.dumps(content), encoding="utf-8")
    path = settings.with_name("proxying.toml")
    section = f"""
[proxied.bench]
base_url = "http://127.0.0.1:{upstream}/v1"
private_targets = ["127.0.0.1/32"]
openapi = "{document}"
zone = "experience"
read_scope = "orders:read"
business_owner = "bench"
technical_owner = "bench"
"""
    path.write_text(settings.read_text(encoding="utf-8") + section, encoding="utf-8")
    return path


@contextmanager
def serving(target: str, settings: Path, port: int, core: int, **environment: str) -> Iterator[int]:
    """A granian server with one worker pinned to `core`; gives the worker's process id."""
    command = [
        sys.executable, "-m", "granian", "--interface", "asgi", "--loop", "uvloop", "--runtime-mode", "st", "--workers",
        "1", "--no-access-log", "--http", "1", "--log-level", "warning", "--port", str(port), "--factory", target,
    ]  # fmt: skip
    folder = settings.parent
    log = folder / f"{target.rpartition(':')[2]}.log"
    with running(
        command, port=port, log=log, core=core, folder=folder, CROSSDOCK_SETTINGS=str(settings), **environment
    ) as pid:
        yield max(children_of(pid), key=processor_seconds)


def load(
    core: int,
    port: int,
    requests: list[bytes],
    *,
    seconds: float,
    connections: int = 64,
    once: bool = False,
    awake: bool = False,
) -> dict[str, Any]:
    """What the load generator counted, in a process of its own on `core`, which it has to itself when `awake`."""
    plan = {
        "port": port, "connections": connections, "seconds": seconds, "once": once, "awake": awake,
        "requests": [base64.b64encode(request).decode() for request in requests],
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.edge.load"], input=json.dumps(plan).encode(), capture_output=True,
        check=True, cwd=ROOT, preexec_fn=lambda: os.sched_setaffinity(0, {core}), timeout=seconds + 90,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def tokens_of(port: int, credentials: list[Any], count: int) -> list[str]:
    """`count` access tokens, issued by the running gateway."""
    tokens = []
    for number in range(count):
        credential = credentials[number % len(credentials)]
        form = {
            "grant_type": "client_credentials",
            "client_id": credential.client_id,
            "client_secret": credential.client_secret,
        }
        request = urllib.request.Request(f"http://127.0.0.1:{port}/oauth2/token", urllib.parse.urlencode(form).encode())
        with urllib.request.urlopen(request, timeout=60) as answer:
            tokens.append(json.load(answer)["access_token"])
    return tokens
