"""The storefront does what its published contract says, whatever is sent to it."""

from __future__ import annotations

import secrets

import pytest
import yaml
from running_gateway import RunningGateway
from schemathesis.checks import CHECKS
from schemathesis_run import CONTRACTS, SECOND, Run, run_schemathesis

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("contract")]

_PHASES = {"examples", "coverage", "fuzzing", "stateful"}
# Not a statement about the contract, and off unless a limit is given.
_NOT_OF_THE_CONTRACT = {"max_response_time"}


def operations(version: str) -> set[str]:
    """What the published contract offers."""
    paths = yaml.safe_load(CONTRACTS[version].read_text(encoding="utf-8"))["paths"]
    return {f"{method.upper()} {path}" for path, item in paths.items() for method in item}


def assert_held(run: Run, version: str) -> None:
    """Nothing failed, nothing was left out, and every operation was really reached."""
    report = run.report
    assert (report["failures"], report["errors"]) == ([], []), run.output
    assert (run.exit_code, report["exit_code"], report["complete"], report["filtered"]) == (0, 0, True, 0), run.output
    assert report["baseline"] is None
    assert report["operations"] == {
        "total": len(operations(version)),
        "selected": len(operations(version)),
        "tested": len(operations(version)),
        "errored": 0,
        "skipped": 0,
        "skip_reasons": [],
    }
    assert report["phases"] == {name: {"status": "success", "skip_reason": None} for name in _PHASES}
    assert not any(
        report["warnings"][name] for name in ("missing_auth", "missing_deserializer", "unsupported_regex")
    ), run.output
    _assert_every_check_ran(run)
    _assert_every_operation_was_reached(run, version)


def _assert_every_check_ran(run: Run) -> None:
    ran = {name for case in run.cases for name in case.checks}
    assert ran >= set(CHECKS.get_all_names()) - _NOT_OF_THE_CONTRACT
    assert {status for case in run.cases for status in case.checks.values()} == {"success"}
    # Requests without checks of their own are the probes that `ignored_auth` and the object-level check send.
    unchecked = [case for case in run.cases if not case.checks]
    assert all(case.parent is not None and (case.status == 401 or case.identity == SECOND) for case in unchecked)


def _assert_every_operation_was_reached(run: Run, version: str) -> None:
    answered = run.statuses()
    for operation in operations(version):
        assert any(status is not None and 200 <= status < 300 for status in answered[operation]), operation
        assert 401 in answered[operation], f"{operation} was never tried without a credential"
    peers = {
        case.operation: case.status for case in run.cases if case.identity == SECOND and "{order_id}" in case.operation
    }
    assert peers, "no order of the first partner was ever asked for by the second"
    assert set(peers.values()) == {404}


@pytest.mark.parametrize("version", CONTRACTS)
async def test_the_storefront_keeps_its_contract(gateway: RunningGateway, tmp_path, version):
    assert_held(await run_schemathesis(gateway, tmp_path, CONTRACTS[version], examples=20, seed=20261121), version)


@pytest.mark.long
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("version", CONTRACTS)
async def test_the_storefront_keeps_its_contract_under_many_random_requests(
    gateway: RunningGateway, tmp_path, version, number
):
    seed = secrets.randbelow(2**31)
    run = await run_schemathesis(gateway, tmp_path, CONTRACTS[version], examples=400, seed=seed, seconds=1200)
    print(f"seed {seed}")  # noqa: T201 - shown when it fails, to repeat it
    assert_held(run, version)
