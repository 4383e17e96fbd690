"""Processes that act on claims and may be killed: started by the tests as ``python processes.py URL``.

Each line of standard input is a group of plans, carried out side by side, a process each; one line of JSON per group
comes back, with how each process ended and what it answered, in order. A plan:

    {"commands": [...], "die": ["before" | "during" | "after" | "stopped", n] or null, "width": commands at once,
     "ahead": seconds, ...}

`die` is SIGKILL by its own hand before, while or after its nth seam (`seams.py`): nothing is cleaned up, nothing said
goodbye. One that is `stopped` before it, its transaction open, goes on when all others are done. `ahead` sets its clock
wrong; what more a plan says is for `actors.py`. Processes are forked from one that has imported everything.
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


async def patiently(attempt):
    """Try it again, as callers do, while the record is away or keeps locks for longer than one waits for them."""
    end = time.monotonic() + 60
    while True:
        try:
            return await attempt()
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
    await patiently(store.open)
    actor = await patiently(lambda: actors.actor_of(store, mortal, plan))
    waiting = list(enumerate(plan["commands"]))[::-1]

    async def lane():
        while waiting:
            number, command = waiting.pop()
            try:
                answer = await patiently(lambda command=command: actor.do(command))
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


def ended(plans, running):
    """How each ended. Who stops in the middle is woken when all others are done."""
    results = {}
    for number in sorted(range(len(plans)), key=lambda each: stops(plans[each])):
        pid, reading = running[number]
        if stops(plans[number]):
            os.waitpid(pid, os.WUNTRACED)
            os.kill(pid, signal.SIGCONT)
        results[number] = end(pid, reading)
    return [results[number] for number in range(len(plans))]


def stops(plan):
    return (plan.get("die") or [None])[0] == "stopped"


def main(url):
    for line in sys.stdin:
        plans = json.loads(line)
        running = [start(url, plan) for plan in plans]
        sys.stdout.write(json.dumps(ended(plans, running)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
