"""A record with something of everything in it, written by SQL as the processes write it."""

import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from gateway.canonical.events import Event
from gateway.kernel.ids import new_id
from gateway.store.log import append

TENANT = "acme"
ITEMS = [
    ("itm_a", "TAP-15-CHR", "Basin tap 15 mm, chrome"),
    ("itm_b", "PIPE-22/3M", "Copper pipe 22 mm, 3 m"),
    ("itm_c", "VALVE-#7", "Ball valve DN 7"),
    ("itm_d", "SEAL-KIT", "Seal kit <universal>"),
    ("itm_e", "PUMP-X400", "Circulation pump X400"),
]


async def seed_order(store, number, state, *, lines=2, shipped=0, sold_to="C-1001", minutes=3, **facts):
    """One order with its lines and its acceptance in the log; returns its id."""
    order_id = new_id("ord")
    now = datetime.now(UTC)
    at = now - timedelta(minutes=minutes)
    ship_to = {"name": "Jane Roe", "street": "1 Secret Lane", "city": "Hull", "postal_code": "HU1", "country": "GB"}
    async with store.transaction() as connection:
        await connection.execute(
            """insert into order_to_ship.sales_order (order_id, tenant, channel, partner, sold_to, external_number,
                   fingerprint, currency, ship_to, total, placed_at, correlation_id, state, exposure, hold_reason)
               values ($1, $2, 'web', 'par_1', $3, $4, '', 'USD', $5, $6, $7, $8, $9, 0, $10)""",
            order_id, TENANT, sold_to, number, json.dumps(ship_to), Decimal("1284.5") * lines, at, f"cor_{number}",
            state, facts.get("hold_reason"),
        )  # fmt: skip
        for line in range(1, lines + 1):
            await connection.execute(
                """insert into order_to_ship.line (order_id, line, item, sku, asked_amount, asked_uom, uom, factor,
                       unit_price, ordered, open, shipped)
                   values ($1, $2, $3, $4, 12, 'EA', 'EA', 1, 9.5, 12, $5, $6)""",
                order_id, line, ITEMS[line % 5][0], ITEMS[line % 5][1], Decimal(12 - shipped), Decimal(shipped),
            )  # fmt: skip
            await connection.execute(
                "insert into order_to_ship.allocation values ($1, $2, 'north', $3, 12)", order_id, line, new_id("clm")
            )
        await append(
            connection,
            [order_event(order_id, number, sold_to, "order.accepted", 1, at, state="promised", ship_to=ship_to)],
        )
    return order_id


def order_event(order_id, external_number, sold_to, kind, version, at, **data):
    return Event(
        tenant=TENANT,
        type=kind,
        aggregate=order_id,
        aggregate_version=version,
        occurred_at=at,
        correlation_id=f"cor_{external_number}",
        data={"order": order_id, "channel": "web", "sold_to": sold_to, "external_number": external_number, **data},
    )


async def task(store, order_id, kind, target, system, state, **facts):
    await store.execute(
        """insert into order_to_ship.task (order_id, kind, target, system, state, attempts, number, error_code)
           values ($1, $2, $3, $4, $5, $6, $7, $8)""",
        order_id, kind, target, system, state, facts.get("attempts", 1), facts.get("number"), facts.get("error"),
    )  # fmt: skip


async def seed_exception(store, order_id, detail, *, blocking=True, fault_domain="erp_na", kind="outcome_unknown"):
    exception_id = new_id("exc")
    await store.execute(
        """insert into order_to_ship.exception (exception_id, tenant, order_id, class, fault_domain, code, detail,
               blocking, seen) values ($1, $2, $3, $4, $5, 'erp.timeout', $6, $7, 4)""",
        exception_id, TENANT, order_id, kind, fault_domain, detail, blocking,
    )  # fmt: skip
    return exception_id


async def seed_stock(store):
    chance = random.Random(7)
    async with store.transaction() as connection:
        await connection.execute("insert into items.catalogue values ($1, 1)", TENANT)
        for item, sku, name in ITEMS:
            await connection.execute(
                """insert into items.item (tenant, item, sku, name, base_uom, sellable, publisher, version,
                       catalogue_version, changed_at) values ($1, $2, $3, $4, 'EA', true, 'erp_na', 1, 1, now())""",
                TENANT, item, sku, name,
            )  # fmt: skip
            for location in ("north", "south"):
                sellable, allocated = chance.randint(40, 4000), chance.randint(0, 30)
                figures = {"sellable": sellable, "reserved": 4, "allocated": allocated, "external": 2}
                await connection.execute(
                    """insert into availability.stock_line (tenant, item, location, owner, on_hand, sellable, reserved,
                           allocated, external, version, as_of)
                       values ($1, $2, $3, 'own', $4, $5, 4, $6, 2, 9, now())""",
                    TENANT, item, location, Decimal(sellable + 6), Decimal(sellable), Decimal(allocated),
                )  # fmt: skip
                for bucket, amount in (("sellable", sellable), ("damaged", 2), ("picked", 4)):
                    await connection.execute(
                        """insert into availability.position (tenant, location, item, owner, bucket, lot, amount,
                               cut_epoch, cut_sequence, cut_event, as_of)
                           values ($1, $2, $3, 'own', $4, '', $5, 1, 1, 'e', now())""",
                        TENANT, location, item, bucket, Decimal(amount),
                    )  # fmt: skip
                data = {"item": item, "location": location, "owner": "own", "on_hand": sellable + 6, **figures}
                await append(connection, [_stock_event("availability.changed", f"stock_line/own/{item}", data)])


def _stock_event(kind, aggregate, data):
    return Event(
        tenant=TENANT,
        type=kind,
        aggregate=aggregate,
        aggregate_version=1,
        occurred_at=datetime.now(UTC),
        correlation_id="wms_north:77",
        data=data,
    )


async def seed_movements(store, count=300):
    chance = random.Random(3)
    async with store.transaction() as connection:
        events = []
        for number in range(count):
            item, location = chance.choice(ITEMS)[0], chance.choice(("north", "south"))
            data = {"movement": f"mov_{number}", "type": "pick_confirmed", "item": item, "location": location,
                    "amount": chance.randint(1, 20), "from": "sellable", "to": "picked", "source": "wms_north",
                    "event_id": f"e{number}", "operator_name": "Sam Picker"}  # fmt: skip
            if number % 3:
                events.append(_stock_event("stock.movement_recorded", f"mov_{number}", data))
            else:
                data = {"fields": list(data), "movements": [list(data.values())]}
                events.append(_stock_event("stock.movements_recorded", f"movements/mov_{number}", data))
        await append(connection, events)
        await connection.execute(
            """update store.event set recorded_at = now() - (600 - 600.0 * id / (select max(id) from store.event)
               + 20 * sin(id / 25.0)) * interval '1 second' where type like 'stock.movement%_recorded'"""
        )


async def seed_letter(store, detail, *, tenant=TENANT):
    row = await store.fetchrow("select id, log_epoch, transaction_id, aggregate from store.event order by id limit 1")
    return await store.fetchval(
        """insert into store.dead_letter (consumer, event_id, log_epoch, transaction_id, tenant, aggregate, state,
               error_class, error_code, detail, fault_domain, attempts, history)
           values ($1, $2, $3, $4, $5, $6, 'dead', 'mapping', 'item.not_found', $7, 'items', 3, $8) returning id""",
        f"orders-{new_id('c')[-4:]}", row["id"], row["log_epoch"], row["transaction_id"], tenant, row["aggregate"],
        detail,
        json.dumps([{"at": "2026-11-21T10:00:00+00:00", "code": "item.not_found", "detail": detail}]),
    )  # fmt: skip


async def seed_parked(store, detail):
    payload = {
        "source_item": "X-9",
        "amount": "5",
        "uom": "CS",
        "operator_email": "sam@wms.test",
        "card": "4111 1111 1111 1111",
    }
    return await store.fetchval(
        """insert into availability.parked (tenant, source, event_id, line, fingerprint, kind, cause, detail, mendable,
               payload) values ($1, 'wms_north', 'e-500', 0, '', 'movement', 'item.unmapped', $2, true, $3)
           returning id""",
        TENANT, detail, json.dumps(payload),
    )  # fmt: skip


async def seed_webhook(store, error):
    message = new_id("msg")
    await store.execute(
        """insert into partner_notifications.message (message, tenant, partner, endpoint, type, subject, event_type,
               occurred_at, correlation_id, state, attempts, last_status, last_error)
           values ($1, $2, 'par_1', 'whe_1', 'order.updated', 'ord_x', 'order.accepted', now(), 'cor_1', 'abandoned',
                   11, 503, $3)""",
        message, TENANT, error,
    )  # fmt: skip
    return message


async def seed_systems(store):
    for instance, failures, error in (
        ("erp_na", 0, None),
        ("wms_north", 0, None),
        ("wms_south", 5, "wms.silent: no answer from https://user:hunter2@wms.test in 20 s"),
    ):
        await store.execute(
            "insert into systems.poll (tenant, instance, polled_at, failures, last_error, movements) values ($1, $2, now(), $3, $4, 120)",  # noqa: E501
            TENANT, instance, failures, error,
        )  # fmt: skip
    await store.execute(
        """insert into store.consumer (name, log_epoch, transaction_id, event_id)
           select 'order_to_ship', log_epoch, transaction_id, id from store.event order by id desc limit 1"""
    )
    await store.execute("insert into store.consumer values ('partner_notifications', 1, '3', 0, now())")


async def seed_everything(store):
    """A lively moment. Returns the ids by what they are."""
    await seed_stock(store)
    await seed_movements(store)
    states = [
        "promised",
        "submitted",
        "released",
        "released",
        "partially_shipped",
        "completed",
        "completed",
        "completed",
    ]
    for number, state in enumerate(states * 3):
        shipped = {"completed": 12, "partially_shipped": 5}.get(state, 0)
        order = await seed_order(store, f"PO-48{number:03}", state, shipped=shipped, minutes=number * 4 + 1)
        await task(store, order, "terms", "erp_na", "erp_na", "done")
        if state != "completed":
            await task(store, order, "erp_order", "erp_na", "erp_na", "done" if shipped else "attempted", number="SO-1")
    held = await seed_order(
        store, "PO-49001", "held", hold_reason="credit limit of C-1002 would be exceeded", sold_to="C-1002"
    )
    stuck = await seed_order(store, "PO-49002", "exception", lines=3, shipped=5)
    await task(store, stuck, "terms", "erp_na", "erp_na", "done")
    await task(store, stuck, "erp_order", "erp_na", "erp_na", "attempted", attempts=4, error="erp.timeout")
    exception = await seed_exception(
        store, stuck, "the ERP did not answer within 20 s and no order bears our reference"
    )
    now = datetime.now(UTC)
    async with store.transaction() as connection:
        await append(
            connection,
            [
                order_event(stuck, "PO-49002", "C-1001", "order.submitted", 2, now, system="erp_na", number="SO-77"),
                order_event(stuck, "PO-49002", "C-1001", "order.exception_raised", 3, now, code="erp.timeout"),
            ],
        )
    letter = await seed_letter(store, "there is no item TAP-99 in the catalogue of acme")
    parked = await seed_parked(store, "wms_north calls an item X-9 that no cross-reference knows")
    webhook = await seed_webhook(store, "the endpoint answered 503 ten times")
    await seed_systems(store)
    return {
        "held": held,
        "stuck": stuck,
        "exception": exception,
        "letter": letter,
        "parked": parked,
        "webhook": webhook,
    }


async def seed_findings(store):
    """A comparison and what it found: one difference of each sort, their ids by what they are."""
    await store.execute(
        "insert into reconciliation.run (run, tenant, what, asked_by, state, ended_at, compared, differing, recovered)"
        " values ('run_seeded', $1, 'stock', 'schedule', 'done', now(), 1200, 4, 1)",
        TENANT,
    )
    found = {}
    for name, against, cause, state, source, sku, code, reported, expected, amount, evidence in _FINDINGS:
        found[name] = new_id("rec")
        await store.execute(
            "insert into reconciliation.finding (finding, tenant, run, what, against, scope, class, source, location,"
            " item, sku, code, bucket, reported, expected, amount, detail, evidence, state, raised_at)"
            " values ($1, $2, 'run_seeded', 'stock', $3, $4, $5, $6, 'NOR1', $7, $7, $8, $9, $10, $11, $12,"
            " 'what shows it stands below', $13, $14, now() - make_interval(hours => $15))",
            *(found[name], TENANT, against, f"seeded/{name}", cause, source, sku, code),
            *("" if against == "erp" else "sellable", reported, expected, amount, evidence, state, len(found) * 9),
        )
    return found


_EVENT = '"source":"wms_north","event_id":"%s","line":0,"type":"pick_confirmed","occurred_at":"2026-11-21T10:00:00Z"'
_FINDINGS = [
    ("erp", "erp", "source_only", "open", "erp_na", "PUMP-X400", "", 97, 100, -3, "[]"),
    ("large", "erp", "source_only", "open", "erp_na", "TAP-15-CHR", "", 20, 100, -80, "[]"),
    ("mapping", "owner", "mapping", "open", "wms_north", "", "NEW/1", 12, None, 12,
     "[{" + _EVENT % "e-17" + ',"bearing":"parked","cause":"stock.unit_unknown"}]'),
    ("loss", "owner", "loss", "explained", "wms_north", "VALVE-20", "", 40, 45, -5,
     "[{" + _EVENT % "e-18" + ',"bearing":"late","effect":"-5"}]'),
]  # fmt: skip


async def seed_regions(store):
    """Three sources: one heard five minutes ago, one ten, one never; lags of the first region in two minutes."""
    now = datetime.now(UTC)
    for source, seconds in (("wms_na", 310), ("wms_emea", 610)):
        heard = now - timedelta(seconds=seconds)
        await store.execute("insert into availability.source values ($1, $2, $3)", TENANT, source, heard)
    for minutes, slot, news in ((0, 60, 40), (1, 80, 20)):
        at = (now - timedelta(minutes=minutes)).replace(second=0, microsecond=0)
        await store.execute(
            "insert into availability.lag values ($1, 'loc_na', $2, 'recorded', $3, $4)", TENANT, at, slot, news
        )


async def seed_channels(store):
    """One shop that shows another figure than it was told, one that does not answer."""
    await store.execute(
        "insert into channel_publication.channel (tenant, channel, swept_at, failures, last_error) values "
        "($1, 'eu', now(), 0, null), ($1, 'us', now(), 3, 'shop.refused_credentials: <check> access_key')",
        TENANT,
    )
    await store.execute(
        "insert into channel_publication.disagreement (tenant, channel, item, sku, cause, expected, found) "
        "values ($1, 'eu', 'itm_1', 'SKU <1>', 'changed_there', 20, 35)",
        TENANT,
    )


async def seed_operations(store):
    """A transfer of lots that is overdue, a hold that was refused, a count that is off: each asks for somebody."""
    transfer, change, count = new_id("trf"), new_id("sch"), new_id("cnt")
    async with store.transaction() as connection:
        for subject, kind, state, code, told in (
            (transfer, "transfer", "done", None, None),
            (change, "status", "refused", "wms.short", "not so much of it is there"),
            (count, "count", "waiting", None, None),
        ):
            await connection.execute(
                """insert into stock_operations.task (subject, tenant, kind, action, fingerprint, state, system, number,
                       error_code, error_detail)
                   values ($1, $2, $3, $1, '', $4, 'wms_north', 'SO-0000007', $5, $6)""",
                subject, TENANT, kind, state, code, told,
            )  # fmt: skip
        await connection.execute(
            """insert into stock_operations.transfer (transfer, tenant, origin, destination, asked_by, correlation_id,
                   state, released_at, dispatched_at, expected_on)
               values ($1, $2, 'loc_na', 'loc_<emea>', 'planner', 'c', 'partly_received', now(), now(),
                       '2026-11-01')""",
            transfer, TENANT,
        )  # fmt: skip
        await connection.execute(
            """insert into stock_operations.transfer_line (transfer, line, item, sku, uom, amount, dispatched, received,
                   lot, expires_on, suggested)
               values ($1, 1, 'itm_a', 'TAP-15-CHR', 'EA', 480, 480, 400, 'L-2031-04', '2031-04-30', '[]'),
                      ($1, 2, 'itm_b', 'PIPE-22/3M', 'M', 1250.5, 0, 0, null, null,
                       '[{"lot": "P-7", "amount": 900, "expires_on": "2027-01-31"},
                         {"lot": "P-9", "amount": 350.5}]')""",
            transfer,
        )
        await connection.execute(
            """insert into stock_operations.counted (movement, transfer, item, lot, dispatched, received)
               values ('mov_1', $1, 'itm_a', 'L-2031-04', 480, 400)""",
            transfer,
        )
        await connection.execute(
            """insert into stock_operations.status_change (change, tenant, kind, location, item, sku, uom, amount, lot,
                   from_bucket, to_bucket, reason, asked_by, correlation_id, state, owner)
               values ($1, $2, 'hold', 'loc_na', 'itm_d', 'SEAL-KIT', 'EA', 12, 'S-1', 'sellable', 'quality_hold',
                       'swollen <seals>', 'app', 'c', 'refused', 'partner')""",
            change, TENANT,
        )  # fmt: skip
        await connection.execute(
            """insert into stock_operations.stock_count (count, tenant, location, bucket, reason, asked_by,
                   correlation_id, state, round, counted_at, counted_by, bins)
               values ($1, $2, 'loc_na', 'sellable', 'weekly', 'app', 'c', 'to_approve', 2, now(), 'carl',
                       '["A-01-3", "A-01-4"]')""",
            count, TENANT,
        )  # fmt: skip
        await connection.execute(
            """insert into stock_operations.count_line (count, line, item, sku, uom, counted, expected, variance, value,
                   lot, unknown_lot, bins)
               values ($1, 1, 'itm_c', 'VALVE-#7', 'EA', 41, 44, -3, 87.30, 'V-1', false,
                       '[{"bin": "A-01-3", "amount": 30}, {"bin": "A-01-4", "amount": 11}]'),
                      ($1, 2, 'itm_c', 'VALVE-#7', 'EA', 2, 0, 2, 58.20, 'V-<9>', true, '[]')""",
            count,
        )


async def seed_places(store, system, *, called, waiting, subject="ord_waits"):
    """`called` visits are under way at a paced system, and so many `waiting` by kind of work."""
    kinds = [(None, "ordinary", number) for number in range(called)]
    kinds += [(work, work.value, number) for work, many in waiting.items() for number in range(many)]
    for work, name, number in kinds:
        who = subject if len(kinds) == 1 else f"{subject}_{system}_{'called' if work is None else name}_{number}"
        await store.execute(
            "insert into pacing.place (system, subject, work, since, workflow, queue, args, called_at)"
            " values ($1, $2, $3, now(), 'turn', 'orders', '[]', case when $4 then now() end)",
            system, who, name, work is None,
        )  # fmt: skip
