"""Processes that act on claims and may be killed: started by the tests as ``python processes.py URL``.

Each line of standard input is a group of plans, carried out side by side, a process each; one line of JSON per group
comes back, with how each process ended and what it answered, in order. A plan:

    {"commands": [...], "die": ["before" | "during" | "after", n] or null, "width": commands at once, "ahead": seconds}

`die` is SIGKILL by its own hand before, while or after it commits the nth time: nothing is cleaned up, nothing said
goodbye. `ahead` sets its clock wrong. Processes are forked from one that has imported everything, so they cost little.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import signal
import sys
import time
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

_WORLD = Path(__file__).parents[1] / "process_apis" / "availability" / "conftest.py"
spec = importlib.util.spec_from_file_location("availability_world", _WORLD)
world_module = importlib.util.module_from_spec(spec)
sys.modules["availability_world"] = world_module
spec.loader.exec_module(world_module)

from gateway.canonical.capabilities import Report  # noqa: E402
from gateway.canonical.stock import ClaimLine, ClaimRequest, SnapshotPart  # noqa: E402
from gateway.kernel.errors import Conflict, Unavailable  # noqa: E402
from gateway.store.postgres import Store  # noqa: E402


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class MortalStore(Store):
    """Kills its process around one of its commits."""

    def __init__(self, url, when):
        super().__init__(url, size=4)
        self.when, self.nth = when or (None, 0)
        self.commits = 0

    @contextlib.asynccontextmanager
    async def transaction(self):
        async with super().transaction() as connection:
            yield connection
            self.commits += 1
            mine = self.commits == self.nth
            if mine and self.when == "before":
                die()
            if mine and self.when == "during":
                sent = asyncio.ensure_future(connection.execute("COMMIT"))
                await asyncio.sleep(0)
                die()
                await sent
        if mine and self.when == "after":
            die()


class Actor:
    """Carries out commands and keeps what they answered: lists of [claim, line, amount], or the code of a refusal."""

    def __init__(self, world):
        self.world, self.claims = world, world.availability.claims

    async def do(self, command):
        verb, more = command["do"], {key: value for key, value in command.items() if key != "do"}
        try:
            found = await getattr(self, verb)(**more)
        except Conflict as refusal:
            return refusal.code
        return [[each.claim, each.line, str(each.amount)] for each in found] if isinstance(found, list) else found

    async def reserve(self, action, order, lines, expires_in=None, channel="web"):
        wanted = [
            ClaimLine(line=number, item=self.world.id[sku], amount=Decimal(amount))
            for number, (sku, amount) in enumerate(lines, 1)
        ]
        ends = None if expires_in is None else timedelta(seconds=expires_in)
        request = ClaimRequest(
            action=action, order=order, channel=channel, lines=wanted, correlation_id=order, expires_in=ends
        )
        return await self.claims.reserve("acme", request)

    async def allocate(self, action, order):
        return await self.claims.allocate("acme", action=action, order=order, correlation_id=order)

    async def extend(self, action, order, by):
        ends = timedelta(seconds=by)
        return await self.claims.extend("acme", action=action, order=order, by=ends, correlation_id=order)

    async def release(self, action, order, lines=None):
        return await self.claims.release("acme", action=action, order=order, lines=lines, correlation_id=order)

    async def cancel(self, action, order):
        return await self.claims.cancel("acme", action=action, order=order, correlation_id=order)

    async def transfer(self, action, order, to):
        return await self.claims.transfer("acme", action=action, order=order, to=to, correlation_id=order)

    async def ahead(self, action, order, amount, days=5, **more):
        if "expires_in" in more:
            more["expires_in"] = timedelta(seconds=more["expires_in"])
        return await self.world.claim_ahead(order, amount, days, action=action, **more)

    async def supply(self, document, ordered, days=5, sequence=1, cancelled="0"):
        receipt = await self.world.order_supply(document, ordered, days, sequence, cancelled=Decimal(cancelled))
        return "recorded" if receipt.recorded else receipt.others[0].outcome.value

    async def expire(self):
        await self.world.availability.expire()
        return "expired"

    async def move(self, event, kind, amount, **more):
        receipt = await self.world.record(self.world.movement(event, more.pop("sequence", 5), kind, amount, **more))
        return "recorded" if receipt.recorded else receipt.others[0].outcome.value

    async def part(self, event, number, of, figures, sequence=20):
        snapshot = self.world.snapshot(event, sequence, figures, full=True)
        report = Report(parts=(SnapshotPart(snapshot=snapshot, number=number, of=of),))
        receipt = await self.world.availability.record("acme", report)
        return "recorded" if receipt.recorded else receipt.others[0].outcome.value

    async def apply_parts(self):
        while await self.world.availability.parts.apply_next():
            pass
        return "applied"

    async def bulk(self, event, skus):
        moves = [
            self.world.movement(event, 5, "stock_adjusted", 1, sku=sku, line=line) for line, sku in enumerate(skus)
        ]
        await self.world.record(*moves)
        return "recorded"


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
    store = MortalStore(url, plan.get("die"))
    await store.open()
    world = world_module.World(store, url)
    world.clock.ahead = timedelta(seconds=plan.get("ahead", 0))
    world.id = {sku: item.item for sku, item in (await world.items.by_sku("acme", ["A", "B", "K"])).items()}
    actor, waiting = Actor(world), list(enumerate(plan["commands"]))[::-1]

    async def lane():
        while waiting:
            number, command = waiting.pop()
            try:
                answer = await patiently(actor, command)
            except Exception as error:  # noqa: BLE001 - whatever it is, the test wants to know
                answer = f"failed: {error!r}"
            os.write(out, json.dumps([number, answer]).encode() + b"\n")

    await asyncio.gather(*(lane() for _ in range(plan.get("width", 1))))
    os.write(out, json.dumps(["commits", store.commits]).encode() + b"\n")
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
    answers = {str(number): answer for number, answer in lines}
    return {
        "killed": os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL,
        "code": os.waitstatus_to_exitcode(status),
        "commits": answers.pop("commits", None),
        "answers": answers,
    }


def main(url):
    for line in sys.stdin:
        running = [start(url, plan) for plan in json.loads(line)]
        sys.stdout.write(json.dumps([end(*each) for each in running]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
