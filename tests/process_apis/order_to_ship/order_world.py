"""The order that tests place, and the world it lives in."""

import asyncio
import itertools
import json
from datetime import UTC, datetime
from decimal import Decimal

import order_fakes as fakes

from gateway.canonical.events import Event, Position, Recorded
from gateway.canonical.party import Address
from gateway.kernel.context import Caller, Principal, Zone
from process_apis.order_to_ship.models import AskedLine, PlaceOrder
from process_apis.order_to_ship.outcomes import Pace

PACE = Pace(first_retry=0.02, longest_retry=0.2, settle=0.05, alert_after=3)
CALLER = Caller(
    Principal("acme", "app", "cred", frozenset({Zone.PROCESS}), frozenset()), "req_1", "cor_1", float("inf")
)
SHIP_TO = Address(name="A", street="B 1", city="C", postal_code="1", country="US")


def ask(number, *lines, **changes):
    lines = lines or (("SKU-1", "2"),)
    asked = tuple(AskedLine(sku=line[0], amount=Decimal(line[1]), uom=(*line, None)[2]) for line in lines)
    fields = {
        "caller": CALLER, "channel": "web", "partner": "P1", "sold_to": "CUST1", "external_number": number,
        "currency": "USD", "ship_to": SHIP_TO, "lines": asked,
    }  # fmt: skip
    return PlaceOrder(**{**fields, **changes})


class World:
    """The process, its record and the stand-ins around it. `drain` plays the worker, honouring delays."""

    def __init__(self, url, store, seams, process):
        self.url = url
        self.store = store
        self.seams = seams
        self.process = process
        self._movements = itertools.count(1)

    async def stock(self, amount, *items, location="WH-N"):
        for item in items:
            await self.store.execute(
                "insert into fake.stock values ($1, $2, $3) on conflict (item, location) do update set available = $3",
                item, location, Decimal(amount),
            )  # fmt: skip

    async def available(self, item, location="WH-N"):
        return await self.store.fetchval(
            "select available from fake.stock where item = $1 and location = $2", item, location
        )

    async def fault(self, name, *kinds, reference=None):
        for kind in kinds:
            await self.store.execute(
                "insert into fake.fault (name, fault, reference) values ($1, $2, $3)", name, kind, reference
            )

    async def sales(self, order):
        return await self.store.fetch("select * from fake.sale where reference = $1 order by number", order)

    async def works(self, order):
        return await self.store.fetch("select * from fake.work where reference = $1 order by number", order)

    async def postings(self, order):
        return await self.store.fetch("select * from fake.posting where reference = $1 order by number", order)

    async def called(self, order):
        rows = await self.store.fetch("select name from fake.called where reference = $1 order by id", order)
        return [row["name"] for row in rows]

    async def events(self, order):
        rows = await self.store.fetch(
            "select type, aggregate_version, data from store.event where aggregate = $1 order by id", order
        )
        versions = [row["aggregate_version"] for row in rows]
        assert versions == sorted(set(versions)), "every event has a version of its own, rising"
        return [row["type"].removeprefix("order.") for row in rows]

    def shipped(
        self,
        order,
        line,
        amount,
        *,
        event="e1",
        item=None,
        location="WH-N",
        kind="shipment_confirmed",
        movement=None,
        replaces=None,
    ):
        """What availability tells of a warehouse's movement."""
        movement = movement or f"mov_{order}_{next(self._movements)}"
        data = {
            "type": kind, "item": item or f"itm_{line}", "location": location, "amount": str(amount), "order": order,
            "order_line": line, "source": "wms_n", "event_id": event, "movement": movement, "replaces": replaces,
        }  # fmt: skip
        event = Event(
            tenant="acme", type="stock.movement_recorded", aggregate=movement, aggregate_version=1,
            occurred_at=datetime.now(UTC), data=data, correlation_id="cor_2",
        )  # fmt: skip
        return Recorded(position=Position(1, 1, 1), recorded_at=datetime.now(UTC), event=event)

    async def hear(self, *recorded):
        """Count movements that came together."""
        async with self.store.transaction() as connection:
            await self.process.shipping.on_movements(connection, recorded)

    async def ship(self, *args, **kwargs):
        recorded = self.shipped(*args, **kwargs)
        async with self.store.transaction() as connection:
            await self.process.shipping.on_movement(connection, recorded)
        return recorded.event.data["movement"]

    async def drain(self, order, seconds=60.0):
        """Run the order's turns until none is left; one that was killed is started again, as DBOS would."""
        run = self.process.workflows()[0].run
        async with asyncio.timeout(seconds):
            while True:
                row = await self.store.fetchrow(
                    "select s.workflow_uuid, i.inputs, s.delay_until_epoch_ms,"
                    " extract(epoch from clock_timestamp()) * 1000 as now"
                    " from dbos.workflow_status s join dbos.workflow_input i using (workflow_uuid)"
                    " where (workflow_uuid = $1 or workflow_uuid like $1 || ':%') and status in ('ENQUEUED', 'DELAYED')"
                    " order by coalesce(s.delay_until_epoch_ms, 0), s.created_at limit 1",
                    order,
                )
                if row is None:
                    return await self.process.get_order("acme", order)
                if row["delay_until_epoch_ms"]:
                    await asyncio.sleep(max(0, (row["delay_until_epoch_ms"] - float(row["now"])) / 1000))
                try:
                    await run(*json.loads(row["inputs"])["positionalArgs"])
                except fakes.KilledError:
                    continue
                await self.store.execute(
                    "update dbos.workflow_status set status = 'SUCCESS' where workflow_uuid = $1", row["workflow_uuid"]
                )
