"""The whole of a small run, with those peers that are installed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks.beside import tryton, vendure
from benchmarks.processes import ROOT

SMALL = "--seconds 1 --turns 1 --clients 4 --items 20 --lines 3 --buyers 4 --rounds 2"


@pytest.mark.long
@pytest.mark.integration
@pytest.mark.timeout(1200)
def test_a_small_run_counts_promises_of_every_side_and_names_the_missing():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.beside", *SMALL.split()],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=1100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]

    found = json.loads(done.stdout.splitlines()[-1])
    for name, why in {"crossdock": None, "tryton": tryton.missing(), "vendure": vendure.missing()}.items():
        rate, won = found["claims_per_s"][name], found["winners_of_one_unit"][name]
        if why is not None:
            assert (rate, won) == (None, None)
            assert why in done.stderr
            continue
        assert rate > 0, done.stderr[-3000:]
        assert (won["rounds"], won["buyers"]) == (2, 4)
    assert found["winners_of_one_unit"]["crossdock"]["sold"] == 2
    assert found["winners_of_one_unit"]["crossdock"]["oversold_rounds"] == 0
    assert not found["winners_of_one_unit"]["crossdock"]["errors"]
