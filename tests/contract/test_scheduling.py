"""The threads of a worker take turns (`gateway/serving/scheduling.py`): with the real server's threads."""

from __future__ import annotations

import os

import pytest
from running_gateway import RunningGateway
from worker_processes import workers_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300), pytest.mark.xdist_group("contract")]


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="sched(7) is Linux's")
async def test_every_thread_of_every_worker_takes_turns(gateway: RunningGateway, gateway_of_two: RunningGateway):
    for running, workers in ((gateway, 1), (gateway_of_two, 2)):
        async with running.client() as client:
            assert (await client.get("/livez")).status_code == 200
        found = {
            pid: {os.sched_getscheduler(thread.id) for thread in worker.threads()}
            for pid, worker in workers_of(running).items()
        }
        assert list(found.values()) == [{os.SCHED_BATCH}] * workers
