"""What a process of these tests can be told to do, by world: `Actor` for stock and claims, alone or with a shop."""

from __future__ import annotations

import importlib.util
import sys
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import erp_actors
import msgspec
import shop_actors

_PROCESS_TESTS = Path(__file__).parents[1] / "process_apis"


def load(name, path):
    """A module of another folder of tests, which is no package."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


world_module = load("availability_world", _PROCESS_TESTS / "availability" / "conftest.py")

from gateway.canonical.capabilities import Report  # noqa: E402
from gateway.canonical.location import LocationMap  # noqa: E402
from gateway.canonical.stock import ClaimLine, ClaimRequest, SnapshotPart  # noqa: E402
from gateway.kernel.errors import Conflict  # noqa: E402
from process_apis.availability.condensing import begin, condense_next  # noqa: E402
from process_apis.availability.files import FileDrop, FileDropOptions  # noqa: E402
from process_apis.availability.models import Allotment, ChannelTerms, ItemTerms  # noqa: E402
from process_apis.availability.process import Availability  # noqa: E402

_ERAS = "select location, era from availability.holder_now"
NORTH, SOUTH = world_module.LOCATIONS


async def actor_of(store, seams, plan):
    """The actor for a plan; `stand_by` gives North another source, `shop` is a channel that
    shows figures, `erp` one whose books are held against ours."""
    if "shop" in plan:
        return await shop_actors.actor_of(store, seams, plan["shop"])
    if "erp" in plan:
        return await erp_actors.actor_of(store, seams, plan["erp"])
    world = world_module.World(store, store.url)
    world.clock.ahead = timedelta(seconds=plan.get("ahead", 0))
    world.id = {sku: item.item for sku, item in (await world.items.by_sku("acme", ["A", "B", "K"])).items()}
    if plan.get("stand_by"):
        guarded = msgspec.structs.replace(NORTH, stand_by=plan["stand_by"])
        world.availability = Availability(
            store=store,
            cache=None,
            items=world.items,
            locations=LocationMap({"acme": [guarded, SOUTH]}),
            clock=world.clock,
        )
    return Actor(world)


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

    async def reserve(self, action, order, lines, expires_in=None, channel="web", priority=0, need_by=None):
        wanted = [
            ClaimLine(line=number, item=self.world.id[sku], amount=Decimal(amount))
            for number, (sku, amount) in enumerate(lines, 1)
        ]
        request = ClaimRequest(
            action=action,
            order=order,
            channel=channel,
            lines=wanted,
            correlation_id=order,
            expires_in=None if expires_in is None else timedelta(seconds=expires_in),
            priority=priority,
            need_by=None if need_by is None else date.fromisoformat(need_by),
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

    async def part(self, event, number, of, figures, sequence=20, **more):
        snapshot = self.world.snapshot(event, sequence, figures, full=True, **more)
        report = Report(parts=(SnapshotPart(snapshot=snapshot, number=number, of=of),))
        receipt = await self.world.availability.record("acme", report)
        return "recorded" if receipt.recorded else receipt.others[0].outcome.value

    async def condense(self):
        since = await self.world.store.fetchval("select clock_timestamp()")
        await begin(self.world.store, "acme", since)
        while await condense_next(self.world.store, "acme", lines=1):
            pass
        return "condensed"

    async def apply_parts(self):
        while await self.world.availability.parts.apply_next():
            pass
        return "applied"

    async def snapshot(self, event, figures, sequence, **more):
        receipt = await self.world.record(self.world.snapshot(event, sequence, figures, **more))
        return "recorded" if receipt.recorded else receipt.others[0].outcome.value

    async def relieve(self):
        while await self.world.availability.shortages.relieve():
            pass
        return "decided"

    async def allot(self, channel, name, amount, version=1):
        """As this version of the rule: setting one has no action id, its people look first."""
        if (await self.world.availability.rule("acme", channel)).version < version:
            terms = {self.world.id["A"]: ItemTerms(allotment=Allotment(name=name, amount=Decimal(amount)))}
            await self.world.availability.set_rule("acme", channel, ChannelTerms(items=terms), actor="ops")
        return "set"

    async def share(self, channel, share, version=1):
        if (await self.world.availability.rule("acme", channel)).version < version:
            await self.world.availability.set_rule("acme", channel, ChannelTerms(share=Decimal(share)), actor="ops")
        return "set"

    async def switch(self, to, era):
        """To era `era`, unless that has come: whoever switches looks first."""
        held = {row["location"]: row["era"] for row in await self.world.store.fetch(_ERAS)}
        if held.get("loc_n", 0) < era:
            await self.world.availability.switch_holder(
                "acme", "loc_n", to=to, actor="ops", reason="it is down", correlation_id=f"era-{era}"
            )
        return "switched"

    async def read_files(self, folder):
        """Everything that lies in the folder now."""
        await FileDrop(self.world.availability, "acme", "wms_n", FileDropOptions(folder=folder)).read_once()
        return "read"

    async def bulk(self, event, skus):
        moves = [
            self.world.movement(event, 5, "stock_adjusted", 1, sku=sku, line=line) for line, sku in enumerate(skus)
        ]
        await self.world.record(*moves)
        return "recorded"
