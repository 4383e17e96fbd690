"""Every process that collects the tests must find the same ones, whatever its clock and hash seed say.

pytest-xdist refuses to run otherwise, and only when its processes happen to read different seconds.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def start_collecting(hash_seed):
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PYTHONHASHSEED"] = hash_seed
    return subprocess.Popen([*command, "tests"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.long
@pytest.mark.timeout(600)  # twice everything, beside whatever else runs
def test_two_processes_collect_the_same_tests():
    first = start_collecting("1")
    time.sleep(1.1)
    second = start_collecting("2")
    collected = [
        [line for line in process.communicate(timeout=500)[0].splitlines() if "::" in line]
        for process in (first, second)
    ]
    assert collected[0] == collected[1]
    assert len(collected[0]) > 1000
