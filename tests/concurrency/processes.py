"""Processes that act on claims and may be killed: started by the tests as ``python processes.py URL``.

Each line of standard input is a group of plans, carried out side by side, a process each; one line of JSON per group
comes back, with how each process ended and what it answered, in order. A plan:

    {"commands": [...], "die": ["before" | "during" | "after", n] or null, "width": commands at once, "ahead": seconds}

`die` is SIGKILL by its own hand before, while or after it commits the nth time: nothing is cleaned up, nothing said
goodbye. `ahead` sets its clock wrong. Processes are forked from one that has imported everything, so they cost little.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time

import actors
import seams

from gateway.kernel.errors import Unavailable


async def patiently(actor, command):
    """Deliver it again, as callers do, while a held-up machine keeps locks for longer than one waits for them."""
    end = time.monotonic() + 60
    while True:
        try:
            return await actor.do(command)
        except Unavailable:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.05)


async def act(url, plan, out):
    def tell(number, what):
        os.write(out, json.dumps([number, what]).encode() + b"\n")

    mortal = seams.Seams(plan.get("die"), lambda name: tell("seam", name))
    seams.put_files(mortal)
    store = seams.MortalStore(url, mortal)
    await store.open()
    actor = await actors.actor_of(store, mortal, plan)
    waiting = list(enumerate(plan["commands"]))[::-1]

    async def lane():
        while waiting:
            number, command = waiting.pop()
            try:
                answer = await patiently(actor, command)
            except Exception as error:  # noqa: BLE001 - whatever it is, the test wants to know
                answer = f"failed: {error!r}"
            tell(number, answer)

    await asyncio.gather(*(lane() for _ in range(plan.get("width", 1))))
    tell("ended", mortal.passed)
    await store.close()


def start(url, plan):
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        code = 1
        try:
            asyncio.run(act(url, plan, writing))
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    return pid, reading


def end(pid, reading):
    with os.fdopen(reading) as told:
        lines = [json.loads(line) for line in told]
    _, status = os.waitpid(pid, 0)
    passed = [what for number, what in lines if number == "seam"]
    answers = {str(number): answer for number, answer in lines if number not in ("seam", "ended")}
    return {
        "killed": os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL,
        "code": os.waitstatus_to_exitcode(status),
        "seams": passed,
        "answers": answers,
    }


def main(url):
    for line in sys.stdin:
        running = [start(url, plan) for plan in json.loads(line)]
        sys.stdout.write(json.dumps([end(*each) for each in running]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
