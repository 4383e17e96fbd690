"""Any permutation, duplication or batching of one set of events ends in the same positions, claims and balances.

The expected positions come from a model that knows nothing of the engine: it sorts everything and adds up.
"""

from __future__ import annotations

import os
from collections import defaultdict
from decimal import Decimal

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.canonical.stock import ReportedMovement

pytestmark = pytest.mark.integration

EXAMPLES = int(os.environ.get("CONVERGENCE_EXAMPLES", "15"))
KINDS = [
    "receipt_posted", "put_away", "pick_confirmed", "pick_confirmed", "unpicked", "shipment_confirmed",
    "shipment_confirmed", "stock_adjusted", "cycle_counted", "transfer_dispatched", "transfer_received",
    "return_received", "return_dispositioned", "status_changed",
]  # fmt: skip
TABLES = [
    "source", "once", "parked", "movement", "position", "settlement", "full_snapshot", "full_cut", "figure",
    "snapshot", "balance", "demand",
    "claim", "claim_order", "channel_line", "progress", "action", "stock_line",
]  # fmt: skip

movements = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(KINDS),
        "amount": st.integers(1, 6),
        "sequence": st.integers(1, 8),
        "epoch": st.sampled_from([1, 1, 1, 2]),
        "sku": st.sampled_from("AB"),
        "lot": st.sampled_from([None, None, None, "L1"]),
        "order": st.sampled_from(["ord_1", "ord_1", "ord_2", None]),
        "uom": st.sampled_from(["EA", "EA", "CS"]),
        "revised": st.booleans(),
    }
)
snapshots = st.fixed_dictionaries(
    {
        "figures": st.dictionaries(
            st.sampled_from(["A", "B", "A.picked", "A.receiving"]), st.integers(0, 40), min_size=1, max_size=3
        ),
        "sequence": st.integers(0, 8),
        "epoch": st.sampled_from([1, 1, 2]),
        "full": st.booleans(),
    }
)


def events_of(world, moved, counted):
    events = []
    for number, drawn in enumerate(moved):
        each = dict(drawn)
        kind = each.pop("kind")
        revised = each.pop("revised")
        if kind == "status_changed":
            each |= {"from_bucket": "sellable", "to_bucket": "damaged"}
        if kind in ("transfer_dispatched", "transfer_received", "return_received", "return_dispositioned"):
            each |= {"document": "T1", "order": None}
        line = {"A": 1, "B": 2}[each["sku"]]
        made = world.movement(
            f"e{number}",
            each.pop("sequence"),
            kind,
            each.pop("amount"),
            order_line=line if each["order"] else None,
            **each,
        )
        events.append(made)
        if revised:
            events.append(msgspec.structs.replace(made, revision=1, amount=made.amount + 2))
    for number, drawn in enumerate(counted):
        each = dict(drawn)
        events.append(world.snapshot(f"s{number}", each.pop("sequence"), each.pop("figures"), **each))
    return events


def expected(world, events):
    """Positions of the north, by (item, bucket, lot), from the latest absolute figure and everything after it."""
    latest = {}
    for event in events:
        if isinstance(event, ReportedMovement):
            known = latest.get(event.event_id)
            latest[event.event_id] = event if known is None or event.revision > known.revision else known
    moved = list(latest.values())
    snaps = [each for each in events if not isinstance(each, ReportedMovement)]
    keys = {(f"X-{sku}", bucket, lot) for sku in "AB" for lot in ("", "L1") for bucket in
            ("sellable", "picked", "receiving", "returned", "damaged")}  # fmt: skip
    return {key: value for key in keys if (value := _figure(world, key, moved, snaps)) != 0}


def _figure(world, key, moved, snaps):
    item, bucket, lot = key
    base, cut = Decimal(0), ((-1, -1), "")
    for snap in snaps:
        at = ((snap.cut_off.epoch, snap.cut_off.sequence), snap.event_id)
        figures = [f.amount for f in snap.figures if (f.source_item, f.bucket) == (item, bucket) and lot == ""]
        if at > cut and (figures or snap.full):
            base, cut = sum(figures, Decimal(0)), at
    mine = [each for each in moved if each.source_item == item and (each.lot or "") == lot]
    for each in mine:
        at = ((each.order_key.epoch, each.order_key.sequence), each.event_id)
        if each.type == "cycle_counted" and bucket == "sellable" and at > cut:
            base, cut = _base(each), at
    after = [each for each in mine if (each.order_key.epoch, each.order_key.sequence) > cut[0]]
    before = [each for each in mine if each not in after]
    for each in after:
        base += _change(each, bucket)
    sign = {"sellable": 1, "picked": -1}.get(bucket, 0)
    return base + sign * (_from_picked(mine) - _from_picked(before))


def _base(each):
    return each.amount * (12 if each.uom == "CS" else 1)


_SIDES = {
    "receipt_posted": (None, "receiving"), "put_away": ("receiving", "sellable"),
    "pick_confirmed": ("sellable", "picked"), "unpicked": ("picked", "sellable"),
    "shipment_confirmed": ("sellable", None), "stock_adjusted": (None, "sellable"), "cycle_counted": (None, None),
    "transfer_dispatched": ("sellable", None), "transfer_received": (None, "receiving"),
    "return_received": (None, "returned"), "return_dispositioned": ("returned", None),
    "status_changed": ("sellable", "damaged"),
}  # fmt: skip


def _change(each, bucket):
    origin, target = _SIDES[each.type]
    return _base(each) * ((target == bucket) - (origin == bucket))


def _from_picked(some):
    """What shipments took from picked, order line by order line: as much as was picked for it."""
    sums = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for each in some:
        if each.order_reference is not None:
            picked = {"pick_confirmed": 1, "unpicked": -1}.get(each.type, 0)
            sums[each.order_reference, each.order_line][0] += picked * _base(each)
            sums[each.order_reference, each.order_line][1] += (each.type == "shipment_confirmed") * _base(each)
    return sum((min(max(picked, 0), shipped) for picked, shipped in sums.values()), Decimal(0))


async def run(world, batches):
    for table in TABLES:
        await world.store.execute(f"delete from availability.{table}")
    await world.store.execute("delete from store.event")
    await world.record(world.snapshot("opening", 0, {"A": 50, "B": 50}, full=True, epoch=0))
    await world.claim("ord_1", ("A", 10), ("B", 4))
    await world.allocate("ord_1")
    for number, batch in enumerate(batches):
        await world.record(*batch, again=number % 2 == 1)
    assert await world.broken_invariants() == []
    state = {}
    for name, query in STATE.items():
        state[name] = sorted(tuple(row) for row in await world.store.fetch(query))
    return state


STATE = {
    "positions": "select item, owner, bucket, lot, amount from availability.position where amount <> 0",
    "claims": """select order_id, order_line, item, location, amount, consumed, released, state
        from availability.claim""",
    "progress": "select order_id, order_line, location, picked, shipped from availability.progress",
    "balances": "select kind, document, item, opened, closed from availability.balance",
    "lines": """select item, location, on_hand, sellable, reserved, allocated, short from availability.stock_line
        where (on_hand, sellable, reserved, allocated) is distinct from (0, 0, 0, 0)""",
}


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    moved=st.lists(movements, max_size=7),
    counted=st.lists(snapshots, max_size=3),
    random=st.randoms(use_true_random=False),
)
async def test_any_permutation_duplication_and_batching_converges(world, moved, counted, random):
    events = events_of(world, moved, counted)
    straight = await run(world, [events])
    shuffled = events + random.choices(events, k=len(events) // 2) if events else []
    random.shuffle(shuffled)
    batches = []
    while shuffled:
        size = random.randint(1, 4)
        batches.append(shuffled[:size])
        del shuffled[:size]
    assert await run(world, batches) == straight
    opening = world.snapshot("opening", 0, {"A": 50, "B": 50}, full=True, epoch=0)
    code = {world.id[sku]: f"X-{sku}" for sku in "AB"}
    found = {(code[item], bucket, lot): amount for item, _, bucket, lot, amount in straight["positions"]}
    assert found == expected(world, [opening, *events])
