"""Threads of a worker do not interrupt each other; where that may not be asked for, it serves all the same."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sched(7) is Linux's")

PROCESS = """
import logging, os, threading
from pathlib import Path
from gateway.serving.scheduling import take_turns

logging.basicConfig(level=logging.INFO)
stop = threading.Event()

def refuse(*_):
    raise PermissionError(1, "Operation not permitted")

if {refused}:
    os.sched_setscheduler = refuse
threading.Thread(target=stop.wait).start()
take_turns()
threading.Thread(target=stop.wait).start()
print(sorted(os.sched_getscheduler(int(thread.name)) for thread in Path("/proc/self/task").iterdir()))
stop.set()
"""


def ended(refused):
    return subprocess.run(
        [sys.executable, "-c", PROCESS.format(refused=refused)], capture_output=True, text=True, timeout=60, check=True
    )


def test_threads_that_are_there_and_those_that_they_start_take_turns():
    assert ended(refused=False).stdout == "[3, 3, 3]\n"  # SCHED_BATCH


def test_where_the_policy_is_refused_the_process_goes_on_and_says_so():
    process = ended(refused=True)
    assert process.stdout == "[0, 0, 0]\n"
    assert "threads may not be scheduled as batch work ([Errno 1] Operation not permitted)" in process.stderr
