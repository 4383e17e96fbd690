"""Whether the books are right, asked in SQL: knows the tables, imports nothing of Crossdock.

As a script, ``python checker.py URL``, it prints one JSON object: what is wrong (empty when nothing is) and how much
there was to check. `short` lines are those that a warehouse or another system took goods from under our promises.
"""

from __future__ import annotations

import asyncio
import json
import sys

import asyncpg

WRONG = {
    "promised beyond what is there": """
        select item, location, sellable, reserved, allocated, external from availability.stock_line
        where reserved + allocated + external > sellable + short""",
    "short without a movement that took it": """
        select l.item, l.location, l.short from availability.stock_line l
        where l.short > 0 and l.external = 0 and not exists (
            select from availability.movement m
            where m.tenant = l.tenant and m.item = l.item and m.location = l.location and m.owner = l.owner and m.live
              and (m.from_bucket = 'sellable' or m.amount < 0 or m.type = 'cycle_counted'))
          and not exists (select from availability.snapshot where tenant = l.tenant)""",
    "reserved is not the sum of reservations": """
        select l.item, l.location, l.reserved, c.open from availability.stock_line l
        left join (select tenant, item, location, owner, sum(amount - consumed - released) as open
                   from availability.claim where state = 'reserved' group by 1, 2, 3, 4) c
          using (tenant, item, location, owner)
        where l.reserved <> coalesce(c.open, 0)""",
    "allocated is not the sum of allocations": """
        select l.item, l.location, l.allocated, c.open from availability.stock_line l
        left join (select tenant, item, location, owner, sum(amount - consumed - released) as open
                   from availability.claim where state not in ('reserved', 'promised') group by 1, 2, 3, 4) c
          using (tenant, item, location, owner)
        where l.allocated <> coalesce(c.open, 0)""",
    "what waits is not the sum of promises on supply": """
        select l.item, l.location, l.waiting, c.open from availability.stock_line l
        left join (select tenant, item, location, owner, sum(amount - consumed - released) as open
                   from availability.claim where state = 'promised' group by 1, 2, 3, 4) c
          using (tenant, item, location, owner)
        where l.waiting <> coalesce(c.open, 0)""",
    "promised beyond what is to come, and none of them told late": """
        select l.item, l.location, l.waiting, p.open, r.receiving from availability.stock_line l
        left join (select d.tenant, d.item, d.location, d.owner,
                          sum(greatest(d.wanted - coalesce(b.closed, 0), 0)) as open
                   from (select tenant, document, item, location, owner, sum(ordered - cancelled) as wanted
                         from availability.supply where kind = 'purchase' group by 1, 2, 3, 4, 5) d
                   left join availability.balance b
                     on b.tenant = d.tenant and b.kind = 'receipt' and b.document = d.document and b.item = d.item
                   group by 1, 2, 3, 4) p using (tenant, item, location, owner)
        left join (select tenant, item, location, owner, sum(amount) as receiving
                   from availability.position where bucket = 'receiving' group by 1, 2, 3, 4) r
          using (tenant, item, location, owner)
        where l.waiting > coalesce(p.open, 0) + coalesce(r.receiving, 0) and not exists (
            select from availability.claim c
            where c.tenant = l.tenant and c.item = l.item and c.location = l.location and c.owner = l.owner
              and c.state = 'promised' and (c.expected is null or c.expected > c.due))""",
    "an open claim without its stock line": """
        select claim from availability.claim c where amount > consumed + released and not exists (
            select from availability.stock_line l where l.tenant = c.tenant and l.item = c.item
               and l.location = c.location and l.owner = c.owner)""",
    "a channel's counter is not the sum of its claims": """
        select * from (select tenant, item, channel, owner, sum(amount - consumed - released) as open
                       from availability.claim where state <> 'promised' group by 1, 2, 3, 4) c
        full join availability.channel_line l using (tenant, item, channel, owner)
        where coalesce(c.open, 0) <> coalesce(l.open, 0)""",
    "a claim that is over has something open": """
        select claim from availability.claim
        -- What is all picked and not shipped yet is not over.
        where (state in ('fulfilled', 'released') and amount <> consumed + released)
           or (state not in ('fulfilled', 'released') and amount = consumed + released and consumed = 0)
           or consumed < 0 or released < 0 or consumed + released > amount""",
    "a claim did not begin and end as often as told": """
        with told as (
            select e.tenant, c ->> 'claim' as claim, sum(case e.type when 'claim.made' then 1 else -1 end) as standing
            from store.event e, jsonb_array_elements(e.data -> 'claims') c
            where e.type in ('claim.made', 'claim.ended') group by 1, 2)
        select coalesce(c.claim, t.claim) as claim, c.state, t.standing
        from availability.claim c full join told t using (tenant, claim)
        where c.claim is null
           or t.standing is distinct from case when c.state in ('fulfilled', 'released') then 0 else 1 end""",
    "a claim without the action that made it": """
        select claim, action from availability.claim c where not exists (
            select from availability.action a
            where a.tenant = c.tenant and a.action = c.action and a.order_id is not null)""",
    "an action made claims twice": """
        -- What was promised on supply may be held in parts, and handed over so; what moves to another location is new.
        select tenant, action, order_id, order_line, item, location from availability.claim k
        where due is null and not exists (
            select from store.event e, jsonb_array_elements(e.data -> 'claims') c
            where e.tenant = k.tenant and e.type = 'claim.made' and e.data ->> 'reason' = 'moved'
              and c ->> 'claim' = k.claim)
        group by 1, 2, 3, 4, 5, 6 having count(*) > 1""",
    "a reservation that expired before its time": """
        select k.claim, k.expires_at, e.recorded_at from store.event e, jsonb_array_elements(e.data -> 'claims') c
        join availability.claim k on k.claim = c ->> 'claim'
        where e.type = 'claim.ended' and e.data ->> 'reason' = 'expired'
          and (k.expires_at is null or e.recorded_at < k.expires_at)""",
    "a version of an aggregate told twice": """
        select tenant, type, aggregate, aggregate_version from store.told
        where type in ('availability.changed', 'claim.made', 'claim.ended', 'claim.extended')
        group by 1, 2, 3, 4 having count(*) > 1""",
    "a change of a stock line that was not told": """
        select l.item, l.location, l.version from availability.stock_line l
        left join (select tenant, aggregate, count(*) as told from store.told
                   where type = 'availability.changed' group by 1, 2) e
          on e.tenant = l.tenant and e.aggregate = 'stock_line/' || l.owner || '/' || l.item || '/' || l.location
        where l.version <> coalesce(e.told, 0)""",
    "the last that was told of a stock line is not what it is": """
        select l.item, l.location, l.version from availability.stock_line l
        join store.told e
          on e.tenant = l.tenant and e.type = 'availability.changed' and e.aggregate_version = l.version
         and e.aggregate = 'stock_line/' || l.owner || '/' || l.item || '/' || l.location
        where l.reserved <> (e.data ->> 'reserved')::numeric or l.allocated <> (e.data ->> 'allocated')::numeric
           or l.sellable <> (e.data ->> 'sellable')::numeric""",
    "figures of a line are not the sum of its positions": """
        select l.item, l.location, l.sellable, l.on_hand from availability.stock_line l
        left join (select tenant, item, location, owner, sum(amount) as on_hand,
                          sum(amount) filter (where bucket = 'sellable') as sellable
                   from availability.position group by 1, 2, 3, 4) p using (tenant, item, location, owner)
        where (l.sellable, l.on_hand) <> (coalesce(p.sellable, 0), coalesce(p.on_hand, 0))""",
    "a position that never was counted is not the sum of its movements": """
        select p.item, p.location, p.bucket, p.amount from availability.position p
        where p.cut_epoch = -1 and p.amount <> (
            select coalesce(sum(case when m.to_bucket = p.bucket then m.amount else 0 end
                                - case when m.from_bucket = p.bucket then m.amount else 0 end), 0)
            from availability.movement m
            where m.tenant = p.tenant and m.location = p.location and m.item = p.item and m.owner = p.owner
              and m.lot = p.lot and m.moves and m.live
        ) + (select coalesce(sum(case s.bucket when 'sellable' then s.settled else -s.settled end), 0)
             from availability.settlement s
             where s.tenant = p.tenant and s.location = p.location and s.item = p.item and s.owner = p.owner
               and s.lot = p.lot and s.bucket = p.bucket)""",
    "a movement that counts twice": """
        select source, event_id, line from availability.movement where live and carried is null group by tenant, 1, 2, 3
        having count(*) > 1""",
    "a movement that was admitted and not written, or written and not admitted": """
        select * from (
            select tenant, source, event_id, line, recorded_at as admitted from availability.once where line >= 0) o
        full join (
            select tenant, source, event_id, line, movement from availability.movement where live and carried is null) m
          using (tenant, source, event_id, line)
        left join availability.history h using (tenant)  -- what is condensed is not kept one by one
        where movement is null and (since is null or admitted >= since) or admitted is null""",
    "consumed is more than was handled": """
        select c.order_id, c.order_line, c.consumed from (
            select tenant, order_id, order_line, item, sum(consumed) as consumed from availability.claim
            group by 1, 2, 3, 4) c
        cross join lateral (
            select coalesce(sum(greatest(picked, shipped)), 0) as handled from (
                select sum(picked) as picked, sum(shipped) as shipped from availability.progress
                where tenant = c.tenant and order_id = c.order_id
                  and (order_line = c.order_line or (order_line = -1 and item = c.item)) group by location) places) p
        where c.consumed > p.handled""",
    "components of a kit are promised for different numbers of kits": """
        select order_id, order_line, location, kit from (
            select tenant, order_id, order_line, location, kit, item, sum(amount / per_kit) as kits
            from availability.claim where kit is not null group by 1, 2, 3, 4, 5, 6) part
        group by tenant, order_id, order_line, location, kit having count(distinct kits) > 1""",
    "a claim lacks more than it has open": """
        select claim from availability.claim where short > amount - consumed - released""",
    "what is drawn of an allotment is not what its claims keep": """
        select l.item, l.channel, l.allotment, l.drawn from availability.channel_line l
        where l.drawn <> (select coalesce(sum(amount - released), 0) from availability.claim c
            where c.tenant = l.tenant and c.item = l.item and c.channel = l.channel and c.owner = l.owner
              and c.allotment = l.allotment)""",
    "external demand of a line is not the sum of its demand": """
        select l.item, l.location, l.external from availability.stock_line l
        where l.external <> (select coalesce(sum(amount), 0) from availability.demand d
            where d.tenant = l.tenant and d.item = l.item and d.location = l.location and d.owner = l.owner)""",
    "a line lacks other than what is promised and not there": """
        select item, location, short from availability.stock_line
        where short <> greatest(0, reserved + allocated + external - sellable)""",
    "parked, and nobody was told": """
        select p.id, p.source, p.event_id from availability.parked p where resolved_at is null and not exists (
            select from store.event e
            where e.tenant = p.tenant and e.type = 'stock.movement_parked' and e.aggregate = 'parked/' || p.id)""",
    "eras of a location that do not follow upon each other": """
        select location, era, holder, before from (
            select *, lag(era, 1, 0) over eras as last_era, lag(holder, 1, before) over eras as last_holder
            from availability.holding window eras as (partition by tenant, location order by era)) h
        where era <> last_era + 1 or before <> last_holder or holder = before""",
    "an order that was cancelled holds stock": """
        select o.order_id from availability.claim_order o join availability.claim c using (tenant, order_id)
        where o.cancelled_at is not null and c.amount > c.consumed + c.released""",
}

_COUNTS = {
    "claims": "select count(*) from availability.claim",
    "open_claims": "select count(*) from availability.claim where amount > consumed + released",
    "movements": "select count(*) from availability.movement where live",
    "actions": "select count(*) from availability.action",
    "events": "select count(*) from store.told",
    "locks_left": "select count(*) from pg_prepared_xacts",
}


async def check(connection: asyncpg.Connection) -> dict[str, list[str]]:
    """By rule, up to three rows that break it."""
    found = {name: await connection.fetch(query) for name, query in WRONG.items()}
    return {name: [str(dict(row)) for row in rows[:3]] for name, rows in found.items() if rows}


async def main(url: str) -> dict[str, object]:
    """Everything, over a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        counts = {name: await connection.fetchval(query) for name, query in _COUNTS.items()}
        return {"wrong": await check(connection), "counts": counts}
    finally:
        await connection.close()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(sys.argv[1]))))
