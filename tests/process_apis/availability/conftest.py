"""A small distributor: two warehouses with their own WMS, three items, on a real record."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.canonical.capabilities import Report
from gateway.canonical.events import movements_told
from gateway.canonical.item import ReportedItem
from gateway.canonical.kit import Component
from gateway.canonical.location import Location, LocationMap
from gateway.canonical.stock import (
    Bucket,
    ClaimLine,
    ClaimRequest,
    MovementType,
    OrderKey,
    ReportedFigure,
    ReportedMovement,
    ReportedSnapshot,
    ReportedSupply,
)
from gateway.edge.litestar_app import make_litestar
from gateway.kernel.clock import SystemClock
from gateway.kernel.context import Caller, Principal, Zone
from gateway.kernel.exchange import SCOPE_KEY, Exchange
from gateway.kernel.quantity import UnitConversion
from gateway.store.migrations import find_migrations, migrate
from gateway.store.postgres import Store
from process_apis.availability.models import DatedRequest
from process_apis.availability.process import Availability
from process_apis.availability.routes import routes
from process_apis.items.groups import ItemGroups
from process_apis.items.kits import Kits
from process_apis.items.process import Items
from process_apis.items.routes import routes as item_routes
from process_apis.items.substitutes import Substitutes
from tests.records import Records

ROOT = Path(__file__).parents[3]
FOLDERS = [
    ROOT / "gateway/store/migrations",
    ROOT / "gateway/reference/migrations",
    ROOT / "process_apis/items/migrations",
    ROOT / "process_apis/availability/migrations",
]
START = datetime(2026, 11, 1, tzinfo=UTC)
LOCATIONS = [
    Location(
        location="loc_n",
        name="North",
        region="na",
        time_zone="UTC",
        holder="wms_n",
        codes={"wms_n": "N", "erp": "WH-N"},
        priority=1,
    ),
    Location(
        location="loc_s",
        name="South",
        region="na",
        time_zone="UTC",
        holder="wms_s",
        codes={"wms_s": "S", "erp": "WH-S"},
        priority=2,
    ),
]


class TestClock(SystemClock):
    """The machine's clock, which a test can move ahead."""

    __test__ = False

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead.total_seconds()


class World:
    """What tests act on. Items A and B count in EA (a case CS is 12), K in KGM; systems know them as X-A, X-B, X-K."""

    def __init__(self, store: Store, url: str, cache: Any = None) -> None:
        self.url = url
        self.store = store
        self.clock = TestClock()
        self.items = Items(store, self.clock)
        self.kits = Kits(store, self.clock, self.items)
        self.substitutes = Substitutes(store, self.clock, self.items, self.kits)
        self.cache = cache
        self.locations = LocationMap({"acme": LOCATIONS})
        self.availability = Availability(
            store=store,
            cache=cache,
            items=self.items,
            kits=self.kits,
            substitutes=self.substitutes,
            groups=ItemGroups(self.clock),
            locations=self.locations,
            clock=self.clock,
        )
        self.id: dict[str, str] = {}

    async def fill(self) -> None:
        packs = (UnitConversion("CS", Decimal(12)),)
        reported = [
            ReportedItem(source_code=f"X-{sku}", sku=sku, name=sku, base_uom="EA", packs=packs) for sku in ("A", "B")
        ]
        reported.append(ReportedItem(source_code="X-K", sku="K", name="K", base_uom="KGM"))
        for source in ("erp", "wms_n", "wms_s"):
            await self.items.adopt("acme", source, reported, correlation_id="setup")
        self.id = {sku: item.item for sku, item in (await self.items.by_sku("acme", ["A", "B", "K"])).items()}

    async def make_kit(self, *parts: tuple[str, int]) -> None:
        """KIT, counted in EA, which systems know as X-KIT, is made of so many of each SKU."""
        kit = [ReportedItem(source_code="X-KIT", sku="KIT", name="KIT", base_uom="EA")]
        for source in ("erp", "wms_n", "wms_s"):
            await self.items.adopt("acme", source, kit, correlation_id="setup")
        self.id["KIT"] = (await self.items.by_sku("acme", ["KIT"]))["KIT"].item
        made = [Component(self.id[sku], Decimal(amount)) for sku, amount in parts]
        await self.kits.change(CALLER, self.id["KIT"], made, effective_from=None, note="")

    def movement(self, event_id: str, sequence: int, kind: str, amount: Any, **more: Any) -> ReportedMovement:
        source = more.pop("source", "wms_n")
        more.setdefault("source_item", f"X-{more.pop('sku', 'A')}")
        more.setdefault("source_location", {"wms_n": "N", "wms_s": "S", "erp": "WH-N"}[source])
        order = more.pop("order", None)
        if order is not None:
            more.update(order_reference=order, order_line=more.pop("order_line", 1))
        for side in ("from_bucket", "to_bucket"):
            if side in more:
                more[side] = Bucket(more[side])
        return ReportedMovement(
            source=source,
            event_id=event_id,
            line=more.pop("line", 0),
            order_key=OrderKey(more.pop("epoch", 1), sequence),
            type=MovementType(kind),
            occurred_at=START + timedelta(seconds=sequence),
            amount=Decimal(str(amount)),
            uom=more.pop("uom", "EA"),
            **more,
        )

    def snapshot(self, event_id: str, sequence: int, figures: dict[str, Any], **more: Any) -> ReportedSnapshot:
        source = more.pop("source", "wms_n")
        code = {"wms_n": "N", "wms_s": "S", "erp": "WH-N"}[source]
        return ReportedSnapshot(
            source=source,
            event_id=event_id,
            cut_off=OrderKey(more.pop("epoch", 1), sequence),
            taken_at=START + timedelta(seconds=sequence),
            full=more.pop("full", False),
            locations=(code,),
            figures=tuple(
                ReportedFigure(
                    source_item=f"X-{name.partition('.')[0]}",
                    source_location=code,
                    bucket=Bucket(name.partition(".")[2] or "sellable"),
                    amount=Decimal(str(amount)),
                    uom="EA",
                )
                for name, amount in figures.items()
            ),
            **more,
        )

    async def record(self, *things: ReportedMovement | ReportedSnapshot, again: bool = False) -> Any:
        report = Report(
            movements=tuple(each for each in things if isinstance(each, ReportedMovement)),
            snapshots=tuple(each for each in things if isinstance(each, ReportedSnapshot)),
        )
        record = self.availability.record_again if again else self.availability.record
        return await record("acme", report)

    async def stock(self, sku: str, amount: Any, source: str = "wms_n", event_id: str | None = None) -> None:
        await self.record(self.movement(event_id or f"opening-{sku}-{source}", 1, "stock_adjusted", amount,
                                        sku=sku, source=source))  # fmt: skip

    async def claim(self, order: str, *lines: tuple[Any, ...], action: str | None = None, **more: Any) -> Any:
        """Lines are (sku, amount) or (sku, amount, location), numbered from 1."""
        wanted = [
            ClaimLine(line=number, item=self.id[sku], amount=Decimal(str(amount)), location=place[0] if place else None)
            for number, (sku, amount, *place) in enumerate(lines, start=1)
        ]
        async with self.store.transaction() as connection:
            return await self.availability.claim(
                connection,
                tenant="acme",
                action=action or f"claim-{order}",
                order=order,
                channel=more.pop("channel", "web"),
                lines=wanted,
                correlation_id=order,
                **more,
            )

    async def allocate(self, order: str, action: str | None = None) -> Any:
        async with self.store.transaction() as connection:
            return await self.availability.allocate(
                connection, tenant="acme", action=action or f"allocate-{order}", order=order, correlation_id=order
            )

    async def release(self, order: str, lines: Any = None, action: str | None = None) -> Any:
        async with self.store.transaction() as connection:
            return await self.availability.release(
                connection,
                tenant="acme",
                action=action or f"release-{order}",
                order=order,
                lines=lines,
                correlation_id=order,
            )

    async def order_supply(self, document: str, amount: Any, days: int = 5, sequence: int = 1, **more: Any) -> Any:
        """A line of a purchase order of A to loc_n, due in so many days from today."""
        more = {"line": 1, "source_item": "X-A", "source_location": "WH-N", "uom": "EA"} | more
        told = ReportedSupply(
            source="erp",
            document=document,
            order_key=OrderKey(1, sequence),
            ordered=Decimal(amount),
            requested=self.clock.now().date() + timedelta(days=days),
            **more,
        )
        return await self.availability.record("acme", Report(supply=(told,)))

    async def claim_ahead(self, order: str, amount: Any, days: int = 5, **more: Any) -> Any:
        """So much of A in so many days from today."""
        line = ClaimLine(line=1, item=self.id["A"], amount=Decimal(amount))
        more = {"action": f"ahead-{order}", "channel": "web", "correlation_id": order} | more
        request = ClaimRequest(order=order, lines=[line], **more)
        due = self.clock.now().date() + timedelta(days=days)
        return await self.availability.claim_ahead("acme", DatedRequest(request=request, due=due))

    async def put_away(self, event: str, amount: Any, sequence: int = 9, document: str = "PO-1") -> Any:
        """Received under `document` and put away at once."""
        return await self.record(
            self.movement(f"r-{event}", sequence, "receipt_posted", amount, document=document),
            self.movement(f"p-{event}", sequence + 1, "put_away", amount),
        )

    async def figures(self, sku: str = "A", location: str = "loc_n") -> dict[str, Any]:
        row = await self.store.fetchrow(
            "select * from availability.stock_line where item = $1 and location = $2", self.id[sku], location
        )
        return {} if row is None else dict(row)

    async def positions(self, sku: str = "A", location: str = "loc_n") -> dict[str, Decimal]:
        rows = await self.store.fetch(
            "select bucket, sum(amount) as amount from availability.position where item = $1 and location = $2"
            " group by bucket having sum(amount) <> 0",
            self.id[sku],
            location,
        )
        return {row["bucket"]: row["amount"] for row in rows}

    async def events(self, kind: str) -> list[Any]:
        return await self.store.fetch(
            "select aggregate, aggregate_version, data from store.told where type = $1 order by id", kind
        )

    async def movements_told(self) -> list[dict[str, Any]]:
        """What the log tells of movements, alone or together."""
        rows = await self.store.fetch(
            "select data from store.told where type like 'stock.movement%_recorded' order by id"
        )
        return [each for row in rows for each in movements_told(json.loads(row["data"]))]

    async def broken_invariants(self) -> list[str]:
        """What must never be, in SQL: empty when all is well."""
        found = []
        for name, query in INVARIANTS.items():
            if rows := await self.store.fetch(query):
                found.append(f"{name}: {[dict(row) for row in rows][:3]}")
        return found


INVARIANTS = {
    "components of a kit are promised for the same number of kits": """
        select order_id, order_line, location, kit, array_agg(kits) from (
            select order_id, order_line, location, kit, item, sum(amount / per_kit) as kits,
                   sum(released / per_kit) filter (where consumed = 0) as back
            from availability.claim where kit is not null group by 1, 2, 3, 4, 5) part
        group by 1, 2, 3, 4 having count(distinct kits) > 1 or count(distinct back) > 1""",
    "promises of a line are the sum of its claims": """
        select l.item, l.location, l.reserved, l.allocated, c.reserved as r, c.allocated as a
        from availability.stock_line l
        left join lateral (
            select coalesce(sum(amount - consumed - released) filter (where state = 'reserved'), 0) as reserved,
                   coalesce(sum(amount - consumed - released) filter (where state not in ('reserved', 'promised')), 0)
                       as allocated
            from availability.claim
            where tenant = l.tenant and item = l.item and location = l.location and owner = l.owner
        ) c on true
        where l.reserved <> c.reserved or l.allocated <> c.allocated""",
    "every open claim has a line": """
        select claim from availability.claim c where amount - consumed - released > 0 and not exists (
            select from availability.stock_line l
            where l.tenant = c.tenant and l.item = c.item and l.location = c.location and l.owner = c.owner)""",
    "a channel's counter is the sum of its claims": """
        select * from (
            select tenant, item, channel, owner, sum(amount - consumed - released) as open
            from availability.claim where state <> 'promised' group by 1, 2, 3, 4) c
        full join availability.channel_line l using (tenant, item, channel, owner)
        where coalesce(c.open, 0) <> coalesce(l.open, 0)""",
    "what is drawn of an allotment is what its claims have not given back": """
        select l.item, l.channel, l.allotment, l.drawn from availability.channel_line l
        where l.drawn <> (select coalesce(sum(amount - released), 0) from availability.claim c
            where c.tenant = l.tenant and c.item = l.item and c.channel = l.channel and c.owner = l.owner
              and c.allotment = l.allotment)""",
    "physical figures of a line are the sum of its positions": """
        select l.item, l.location, l.sellable, p.sellable as positions from availability.stock_line l
        cross join lateral (
            select coalesce(sum(amount) filter (where bucket = 'sellable'), 0) as sellable,
                   coalesce(sum(amount), 0) as on_hand
            from availability.position
            where tenant = l.tenant and item = l.item and location = l.location and owner = l.owner) p
        where l.sellable <> p.sellable or l.on_hand <> p.on_hand""",
    "a line is flagged while one of its figures is below zero": """
        select item, location, negative from availability.stock_line l
        where negative <> exists (select from availability.position p
            where p.tenant = l.tenant and p.item = l.item and p.location = l.location and p.owner = l.owner
              and p.amount < 0)""",
    "the log told last what the line has": """
        select l.item, l.location, l.version, e.data from availability.stock_line l
        join (
            select distinct on (tenant, aggregate) tenant, aggregate, data, aggregate_version from store.told
            where type = 'availability.changed' order by tenant, aggregate, aggregate_version desc
        ) e on e.tenant = l.tenant and e.aggregate = 'stock_line/' || l.owner || '/' || l.item || '/' || l.location
        where (e.aggregate_version, (e.data->>'version')::bigint) <> (l.version, l.version)
           or ((e.data->>'on_hand')::numeric, (e.data->>'sellable')::numeric, (e.data->>'reserved')::numeric,
               (e.data->>'allocated')::numeric, (e.data->>'external')::numeric, (e.data->>'short')::numeric,
               (e.data->>'as_of')::timestamptz)
              <> (l.on_hand, l.sellable, l.reserved, l.allocated, l.external, l.short, l.as_of)""",
    "what waits at a line is the sum of its promises on supply": """
        select item, location, waiting from availability.stock_line l where waiting <> (
            select coalesce(sum(amount - consumed - released), 0) from availability.claim c
            where c.tenant = l.tenant and c.item = l.item and c.location = l.location and c.owner = l.owner
              and c.state = 'promised')""",
    "external demand of a line is the sum of its demand": """
        select l.item, l.location, l.external from availability.stock_line l
        where l.external <> (select coalesce(sum(amount), 0) from availability.demand
            where tenant = l.tenant and item = l.item and location = l.location and owner = l.owner)""",
    "short is what is promised and not there": """
        select item, location, short from availability.stock_line
        where short <> greatest(0, reserved + allocated + external - sellable)""",
    "a claim lacks no more than it has open": """
        select claim from availability.claim where short > amount - consumed - released""",
    "a claim over has nothing open": """
        select claim from availability.claim
        where state in ('fulfilled', 'released') and amount <> consumed + released""",
    "a claim ends once more than it comes back": """
        with told as (
            select c->>'claim' as claim, sum(case type when 'claim.made' then 1 else -1 end) as standing
            from store.event, jsonb_array_elements(data->'claims') c
            where type in ('claim.made', 'claim.ended') group by 1)
        select claim, state, standing from availability.claim left join told using (claim)
        where standing is distinct from case when state in ('fulfilled', 'released') then 0 else 1 end""",
    "an aggregate's versions are unique": """
        select tenant, aggregate, aggregate_version from store.told
        where type in ('availability.changed', 'claim.made', 'claim.ended', 'stock.movement_recorded',
                       'stock.movements_recorded')
        group by 1, 2, 3, type having count(*) > 1""",
}


@pytest.fixture
async def record_url(records: Records) -> AsyncIterator[str]:
    async with records.lent(find_migrations(FOLDERS)) as url:
        yield url


@pytest.fixture
async def new_world(database: str) -> AsyncIterator[World]:
    """A record of one's own, for who makes or drops tables in it."""
    await migrate(database, find_migrations(FOLDERS))
    store = Store(database, size=12)
    await store.open()
    made = World(store, database)
    await made.fill()
    yield made
    await store.close()


@pytest.fixture
async def world(record_url: str) -> AsyncIterator[World]:
    store = Store(record_url, size=12)
    await store.open()
    made = World(store, record_url)
    await made.fill()
    yield made
    await store.close()


CALLER = Caller(
    principal=Principal(
        tenant="acme",
        subject="app",
        credential="c",
        zones=frozenset({Zone.PROCESS}),
        scopes=frozenset({"source:wms_n", "source:erp", "stock:read"}),
    ),
    request_id="req_1",
    correlation_id="cor_1",
    deadline=float("inf"),
)


@pytest.fixture
async def http(world: World) -> AsyncIterator[httpx.AsyncClient]:
    app, table = make_litestar([*routes(world.availability), *item_routes(world.items, world.kits, world.substitutes)])

    async def door(scope: Any, incoming: Any, send: Any) -> None:
        exchange = Exchange(scope, incoming, 0.0)
        exchange.route, exchange.path_params, _ = table.locate(scope["method"], scope["path"])
        exchange.caller, exchange.principal = CALLER, CALLER.principal
        message = await incoming()
        if scope["method"] == "POST":
            exchange.decoded = exchange.route.decode(message["body"])

        async def receive() -> Any:
            return message | {"more_body": False}

        scope[SCOPE_KEY] = exchange
        await app(scope, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://test") as client:
        yield client
