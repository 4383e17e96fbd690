"""An API of somebody else's, wrapped: what `crossdock contracts export` publishes of it is kept."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator
from parts_sandbox import SECRET
from running_gateway import RunningGateway
from schemathesis.checks import CHECKS
from schemathesis_run import SECOND, run_schemathesis

from gateway.cli import main
from gateway.contracts.reading import read_document
from gateway.engines import EngineUrls
from gateway.engines.ports import free_port
from gateway.engines.process import spawn
from gateway.identity.partners import PARTNER_SCOPES
from gateway.settings import load_settings

from .conftest import running_on

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("contract")]

_HERE = Path(__file__).parent
CONTRADICTED = "crossdock_upstream_dates_contradicted_total"
_SCOPES = (*PARTNER_SCOPES, "parts:read", "parts:write")
_SETTINGS = """
[proxied.parts]
base_url = "http://127.0.0.1:{port}/shop"
private_targets = ["127.0.0.1/32"]
openapi = "{document}"
zone = "experience"
business_owner = "Sales"
technical_owner = "the old shop's team"
since = 2026-11-01
slo = {{ availability_percent = 99.0, latency_p99_ms = 2000 }}
responses = "enforce"
credential = {{ secret = "file:{secret}", header = "X-Shop-Secret", prefix = "" }}

[[lifecycles]]
api = "parts"
version = "v1"
deprecated_at = 2026-11-01T00:00:00Z
sunset_at = 2099-01-01T00:00:00Z
documentation = "/apis/parts/v1"

[proxied.undated]
base_url = "http://127.0.0.1:{port}/shop"
private_targets = ["127.0.0.1/32"]
openapi = "{document}"
zone = "experience"
business_owner = "Sales"
technical_owner = "the old shop's team"
read_scope = "parts:read"
credential = {{ secret = "file:{secret}", header = "X-Shop-Secret", prefix = "" }}

[metrics]
port = {metrics}
"""
# Nobody listens at their address: who is answered was refused at the door.
_ENDING = """
[proxied.{name}]
base_url = "http://127.0.0.1:9/shop"
private_targets = ["127.0.0.1/32"]
openapi = "{document}"
zone = "experience"
business_owner = "Sales"
technical_owner = "the old shop's team"
read_scope = "parts:read"

[[lifecycles]]
api = "{name}"
version = "v1"
deprecated_at = 2026-11-01T00:00:00Z
successor = "/parts/v2"
{dates}
"""


@pytest.fixture(scope="module")
async def parts(urls: EngineUrls, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    """A gateway in front of the sandbox, two workers."""
    folder = tmp_path_factory.mktemp("parts")
    port, secret = free_port(set()), folder / "shop_secret"
    secret.write_text(SECRET, encoding="utf-8")
    command = [sys.executable, str(_HERE / "parts_sandbox.py"), str(port)]
    sandbox = spawn(command, folder=folder, log=folder / "sandbox.log", account=None, dies_by=signal.SIGTERM)
    document, metrics, now = _HERE / "parts_openapi.yaml", free_port({port}), datetime.now(UTC)
    settings = _SETTINGS.format(port=port, document=document, secret=secret, metrics=metrics)
    today, later = (_brownout(now + timedelta(days=days)) for days in (0, 365))
    for name, dates in (
        ("paused", f"sunset_at = 2099-01-01T00:00:00Z\nbrownouts = [{today}]"),
        ("scheduled", f"brownouts = [{later}]"),
        ("ended", "sunset_at = 2026-11-02T00:00:00Z"),
    ):
        settings += _ENDING.format(name=name, document=document, dates=dates)
    try:
        async with running_on(
            "test_of_parts", urls, tmp_path_factory.mktemp("front"), workers=2, more=settings, scopes=_SCOPES
        ) as running:
            yield running
    finally:
        await sandbox.end([(signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)])


@pytest.fixture(scope="module")
def contract(parts: RunningGateway, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the installation publishes of it."""
    folder = tmp_path_factory.mktemp("published")
    assert main(["contracts", "export", "--settings", str(parts.settings_path), "--folder", str(folder)]) == 0
    assert (
        main(["contracts", "export", "--check", "--settings", str(parts.settings_path), "--folder", str(folder)]) == 0
    )
    return folder / "experience" / "parts" / "v1.yaml"


def _brownout(around: datetime) -> str:
    begins, ends = (around + timedelta(hours=hours) for hours in (-1, 22))
    return f"{{ begins = {begins.isoformat(timespec='seconds')}, ends = {ends.isoformat(timespec='seconds')} }}"


def read(path: Path) -> dict[str, Any]:
    return read_document(path.name, path.read_bytes())


async def test_what_is_exported_is_what_the_catalogue_serves_and_a_validator_takes_it(parts, contract):
    assert [error.message for error in OpenAPIV30SpecValidator(read(contract)).iter_errors()] == []
    async with parts.client("") as client:
        entries = (await client.get("/.well-known/api-catalog")).json()["linkset"]
        (entry,) = [each for each in entries if each["anchor"] == "/parts/v1"]
        served = await client.get(entry["service-desc"][0]["href"])
        told = (await client.get(entry["service-meta"][0]["href"])).json()
    assert served.text == contract.read_text(encoding="utf-8")
    assert "inside.example" not in served.text
    assert (told["class"], told["business_owner"], told["proxied"]) == ("partner", "Sales", True)
    assert told["slo"] == {"availability_percent": 99.0, "latency_p99_ms": 2000}


async def test_its_dates_are_told_in_every_answer_and_nothing_of_the_machine_behind(parts):
    async with parts.client() as client:
        found, missing = await client.get("/parts/v1/parts"), await client.get("/parts/v1/nothing")
    for answer in (found, missing):
        assert answer.headers["deprecation"].startswith("@")
        assert answer.headers["sunset"].startswith("Thu, 01 Jan 2099")
    assert found.headers["x-total"].isdigit()
    assert "x-powered-by" not in found.headers
    assert "basehttp" not in found.headers.get("server", "").lower()


async def test_in_its_brownout_it_is_paused_with_the_time_of_its_end_and_after_its_sunset_gone(parts):
    async with parts.client() as client:
        paused = await client.get("/paused/v1/parts")
        scheduled = await client.get("/scheduled/v1/parts")
        ended, nothing = await client.get("/ended/v1/parts"), await client.get("/ended/v1/nothing")
    assert (paused.status_code, paused.json()["code"]) == (503, "version.brownout")
    assert 0 < int(paused.headers["retry-after"]) <= 22 * 3600
    assert parsedate_to_datetime(paused.headers["sunset"]).year == 2099
    assert scheduled.json()["code"] != "version.brownout"
    for answer in (ended, nothing):
        assert (answer.status_code, answer.json()["code"]) == (410, "version.sunset")
        assert "/parts/v2" in answer.json()["detail"]
        assert answer.headers["sunset"] == "Mon, 02 Nov 2026 00:00:00 GMT"
        assert answer.headers["link"] == '</parts/v2>; rel="successor-version"'


@pytest.mark.long
async def test_a_brownout_is_scheduled_and_taken_back_while_everything_runs(parts, tmp_path, capsys):
    async def config(*words: str) -> None:
        told = ["config", *words, "--settings", str(parts.settings_path), "--wait", "90"]
        assert await asyncio.to_thread(main, told) == 0, capsys.readouterr().err

    async def code_of(path: str) -> tuple[int, str]:
        answer = await client.get(path)
        return answer.status_code, answer.json().get("code", "")

    dates = 'api = "undated"\nversion = "v1"\ndeprecated_at = 2026-11-01T00:00:00Z\n'
    file = tmp_path / "wanted.toml"
    async with parts.client() as client:
        assert await code_of("/undated/v1/labels/new") == (200, "")
        file.write_text(f"[[lifecycles]]\n{dates}brownouts = [{_brownout(datetime.now(UTC))}]\n", encoding="utf-8")
        await config("apply", str(file))
        assert await code_of("/undated/v1/labels/new") == (503, "version.brownout")
        file.write_text(f"[[lifecycles]]\n{dates}sunset_at = 2026-11-02T00:00:00Z\n", encoding="utf-8")
        await config("apply", str(file))
        assert await code_of("/undated/v1/labels/new") == (410, "version.sunset")
        await config("rollback", "0")
        assert await code_of("/undated/v1/labels/new") == (200, "")


async def test_its_own_dates_go_on_where_none_are_declared_and_are_reported_where_they_contradict(parts):
    async with parts.client() as client:
        undated = await client.get("/undated/v1/labels/old")
        dated = await client.get("/parts/v1/labels/old")
        silent = await client.get("/undated/v1/labels/new")
    assert (undated.status_code, dated.status_code, silent.status_code) == (200, 200, 200)
    assert undated.headers["deprecation"] == "@1795262400"
    assert undated.headers["sunset"] == "Sat, 01 May 2027 00:00:00 GMT"
    links = '</undated/v1/labels/new>; rel="successor-version", </undated/v1/labels?page=2>; rel="next"'
    assert undated.headers["link"] == links
    assert not {"deprecation", "sunset", "link"} & set(silent.headers)
    assert dated.headers.get_list("sunset") == ["Thu, 01 Jan 2099 00:00:00 GMT"]
    assert dated.headers.get_list("link") == [
        '</parts/v1/labels?page=2>; rel="next"',
        '</apis/parts/v1>; rel="deprecation sunset"',
    ]
    port = load_settings(parts.settings_path).metrics.port
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client, asyncio.timeout(60):
        while True:
            text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
            told = [
                line for line in text.splitlines() if line.startswith("crossdock_upstream_dates_contradicted_total{")
            ]
            if len(told) == 2:
                break
            await asyncio.sleep(0.2)
    assert all('api="parts"' in line for line in told)
    assert "parts v1 answers with sunset b'Sat, 01 May 2027" in parts.log.read_text(encoding="utf-8")


async def test_a_partner_has_its_own_parts_and_a_retry_with_the_same_key_adds_none(parts):
    body = {"kind": "gear", "name": "cog"}
    async with parts.client() as mine, parts.client(parts.second.api_key) as theirs:
        first = await mine.post("/parts/v1/parts", json=body, headers={"Idempotency-Key": "only-once"})
        again = await mine.post("/parts/v1/parts", json=body, headers={"Idempotency-Key": "only-once"})
        assert (first.status_code, first.headers["location"]) == (201, f"/parts/v1/parts/{first.json()['id']}")
        assert again.json() == first.json()
        assert again.headers["idempotent-replayed"] == "true"
        where = first.headers["location"]
        assert (await mine.get(where)).json() == first.json()
        assert (await theirs.get(where)).status_code == 404
        assert (await mine.get("/parts/v1/parts/machines/price")).headers["content-type"].startswith("text/plain")
        refused = await mine.put(where, json={"kind": "cog", "name": "cog"})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/kind")


async def test_the_command_lists_it_with_its_dates_and_service_level(parts, capsys):
    path = ["--settings", str(parts.settings_path)]
    capsys.readouterr()
    assert await asyncio.to_thread(main, ["apis", *path]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("/parts/v1 ")]
    assert ("deprecated" in line, "2099-01-01" in line, "99 %, 2000 ms" in line) == (True, True, True)


async def test_a_proxied_api_keeps_the_contract_that_is_published_of_it(parts, contract, tmp_path):
    run = await run_schemathesis(parts, tmp_path, contract, examples=5, seed=20261121)
    paths = read(contract)["paths"]
    operations = {f"{method.upper()} {path}" for path, item in paths.items() for method in item}
    report = run.report
    assert (report["failures"], report["errors"], run.exit_code, report["filtered"]) == ([], [], 0, 0), run.output
    assert report["operations"]["tested"] == report["operations"]["total"] == len(operations) == 8
    assert {phase["status"] for phase in report["phases"].values()} == {"success"}
    assert {name for case in run.cases for name in case.checks} >= set(CHECKS.get_all_names()) - {"max_response_time"}
    answered = run.statuses()
    for operation in operations:
        assert 401 in answered[operation], f"{operation} was never tried without a credential"
        assert any(status is not None and 200 <= status < 300 for status in answered[operation]), operation
    peers = {case.status for case in run.cases if case.identity == SECOND and "{id}" in case.operation}
    assert peers == {404}


def test_a_change_explains_what_was_asked_of_the_api_behind(parts, capsys):
    path = ["--settings", str(parts.settings_path), "--json"]
    body, key = {"kind": "gear", "name": "cog"}, {"X-Api-Key": parts.first.api_key}
    added = httpx.post(f"{parts.url}/parts/v1/parts", json=body, headers=key, timeout=30)
    end = time.monotonic() + 30
    capsys.readouterr()
    while main(["explain", added.headers["x-request-id"], *path]):
        assert time.monotonic() < end, "what changes something is told within seconds"
        capsys.readouterr()
        time.sleep(0.2)
    (made,) = json.loads(capsys.readouterr().out)["outbound"]
    assert (made["system"], made["method"], made["outcome"], made["attempts"]) == ("parts", "POST", "201", 1)


def test_the_command_tells_who_called_it(parts, capsys):
    path = ["--settings", str(parts.settings_path), "--json", "--deprecated"]
    httpx.get(f"{parts.url}/parts/v1/parts", headers={"X-Api-Key": parts.first.api_key}, timeout=30).raise_for_status()
    end, calls = time.monotonic() + 30, 0
    while not calls:
        assert time.monotonic() < end, "what was called is told within seconds"
        capsys.readouterr()
        assert main(["apis", "usage", *path]) == 0
        told = json.loads(capsys.readouterr().out)
        calls = sum(each["calls"] for each in told if each["api"] == "parts" and each["partner_name"] == "First")
        time.sleep(0.2)
