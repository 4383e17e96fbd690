"""One run of schemathesis, in a process of its own, against a running gateway, and what its reports say."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from running_gateway import SKUS, RunningGateway

ROOT = Path(__file__).parents[2]
CONTRACTS = {name: ROOT / "openapi" / "experience" / "storefront" / f"{name}.yaml" for name in ("v1", "v2")}
FIRST, SECOND = "first", "second"

# Nothing is left out: every operation, phase and check is on. The dictionaries only make most orders name an article
# that there is, since a random string hardly ever does and orders are what the links begin with.
_CONFIG = """
seed = {seed}
continue-on-failure = true
request-timeout = 30
hooks = {hooks}

[cache]
enabled = false

# One asks, the other only tries to see what is not its own. Left to choose, it would change who asks after a 403.
[auth.wfc]
path = {auth}
user = "{first}"
peers = ["{first}", "{second}"]

[dictionaries.skus]
values = {skus}

[dictionaries.accounts]
values = ["CUST1"]

[parameters]
"body.lines[*].sku" = {{ dictionary = "skus", probability = 0.8 }}
"body.account" = {{ dictionary = "accounts", probability = 0.8 }}

# Its own statuses, and 414: too long is a refusal like any other (RFC 9110, 15.5.15).
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 414, 415, 422, 428, 429, "5xx"]

# And 412 and 428: a change of an order wants the version that it is of (RFC 9110, 13.1; RFC 6585, 3).
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 412, 428, 429, "5xx"]

[generation]
max-examples = {examples}
database = "none"
"""


@dataclass(frozen=True)
class Case:
    """One request that was made, and what came of it. `parent` is the case that it probes or follows."""

    phase: str
    operation: str
    status: int | None
    identity: str | None
    parent: str | None
    checks: dict[str, str]


@dataclass(frozen=True)
class Run:
    """What a run reported."""

    exit_code: int
    output: str
    report: dict[str, Any]
    cases: list[Case]

    def statuses(self) -> dict[str, set[int | None]]:
        """The statuses each operation answered with."""
        found: dict[str, set[int | None]] = defaultdict(set)
        for case in self.cases:
            found[case.operation].add(case.status)
        return found


async def run_schemathesis(
    gateway: RunningGateway, folder: Path, contract: Path, *, examples: int, seed: int, seconds: float = 300
) -> Run:
    """Run it to its end over one contract; its files lie in `folder`."""
    auth, config = folder / "auth.json", folder / "schemathesis.toml"
    keys = {FIRST: gateway.first.api_key, SECOND: gateway.second.api_key}
    who = [{"name": name, "fixedHeaders": [{"name": "X-Api-Key", "value": key}]} for name, key in keys.items()]
    auth.write_text(json.dumps({"auth": who}), encoding="utf-8")
    auth.chmod(0o600)
    hooks = Path(__file__).with_name("fresh_keys.py")
    config.write_text(
        _CONFIG.format(
            seed=seed,
            examples=examples,
            hooks=json.dumps(str(hooks)),
            auth=json.dumps(str(auth)),
            first=FIRST,
            second=SECOND,
            skus=json.dumps(SKUS, ensure_ascii=False),
        ),
        encoding="utf-8",
    )
    report, events = folder / "report.json", folder / "report.ndjson"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", str(contract)),
        *("--url", gateway.url, "--phases", "examples,coverage,fuzzing,stateful", "--no-color"),
        *("--report", "json,ndjson", "--report-json-path", str(report), "--report-ndjson-path", str(events)),
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("SCHEMATHESIS")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), seconds)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = output.decode(errors="replace")
    assert report.exists(), text[-4000:]
    return Run(
        exit_code=process.returncode or 0,
        output=text,
        report=json.loads(report.read_text(encoding="utf-8")),
        cases=list(_cases(events)),
    )


def _cases(events: Path) -> Iterator[Case]:
    with events.open(encoding="utf-8") as lines:
        finished = [event["ScenarioFinished"] for event in map(json.loads, lines) if "ScenarioFinished" in event]
    for scenario in finished:
        recorded = scenario["recorder"]
        for number, case in recorded.get("cases", {}).items():
            value = case["value"]
            response = recorded.get("interactions", {}).get(number, {}).get("response") or {}
            yield Case(
                phase=scenario["phase"],
                operation=f"{value['method']} {value['path']}",
                status=response.get("status_code"),
                identity=value.get("auth_identity"),
                parent=case.get("parent_id"),
                checks={check["name"]: check["status"] for check in recorded.get("checks", {}).get(number, ())},
            )
