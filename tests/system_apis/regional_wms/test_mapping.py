from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.order import WorkState
from gateway.canonical.stock import Bucket, MovementType, OrderKey
from gateway.kernel.errors import BrokenUpstream, Rejected
from gateway.outbound.json_api import decode
from system_apis.regional_wms import mapping, wire

from .conftest import order

UNITS = {"PCE": "EA", "CTN": "CS"}
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**15), max_value=10**15)


def event(kind="PICK", **line):
    fields = {"line": 1, "item_code": "W-000001", "quantity": Decimal(3), "unit": "PCE", **line}
    return wire.Event(
        event_id="EV-2-000000007",
        epoch=2,
        sequence=7,
        type=kind,
        occurred_at=datetime(2026, 11, 21, 10, tzinfo=UTC),
        warehouse="NOR1",
        lines=(wire.EventLine(**fields),),
        client_reference="ord_1",
    )


def movement(kind="PICK", **line):
    return mapping.report("wms_north", (event(kind, **line),), UNITS).movements[0]


def test_a_pick_carries_our_order_and_its_place_among_events():
    made = movement("PICK", client_line=4, from_state="AVL", to_state="PCK")
    assert (made.type, made.order_reference, made.order_line) == (MovementType.PICK_CONFIRMED, "ord_1", 4)
    assert made.order_key == OrderKey(2, 7)
    assert (made.source_item, made.source_location, made.uom) == ("W-000001", "NOR1", "EA")
    assert (made.from_bucket, made.to_bucket) == (None, None)


@pytest.mark.parametrize(
    ("kind", "states", "buckets"),
    [
        ("RCPT", (None, "AVL"), (None, Bucket.SELLABLE)),
        ("ADJ", (None, "DMG"), (None, Bucket.DAMAGED)),
        ("COUNT", (None, "AVL"), (None, Bucket.SELLABLE)),
        ("STATUS", ("AVL", "QHD"), (Bucket.SELLABLE, Bucket.QUALITY_HOLD)),
        ("RTN_DISP", ("RTN", "AVL"), (None, Bucket.SELLABLE)),
    ],
)
def test_buckets_are_told_where_the_type_leaves_them_open(kind, states, buckets):
    made = movement(kind, from_state=states[0], to_state=states[1])
    assert (made.from_bucket, made.to_bucket) == buckets


def test_every_type_of_the_taxonomy_is_mapped():
    assert set(mapping._TYPES.values()) == set(MovementType)


@pytest.mark.parametrize(("kind", "line"), [("TELEPORT", {}), ("ADJ", {"to_state": "LOST"})])
def test_a_code_outside_the_contract_is_a_broken_upstream(kind, line):
    with pytest.raises(BrokenUpstream):
        movement(kind, **line)


def test_an_unknown_unit_is_passed_on_so_that_the_movement_is_parked():
    assert movement(unit="BX").uom == "BX"


@given(DECIMALS)
def test_quantities_arrive_exact_to_the_last_digit(quantity):
    body = msgspec.json.encode({"delivery_id": "d", "events": [msgspec.to_builtins(event("ADJ", quantity=quantity))]})
    delivery = decode(body, wire.Delivery)
    assert mapping.report("w", delivery.events, UNITS).movements[0].amount == quantity


@given(DECIMALS.filter(lambda amount: amount > 0), st.text(min_size=1))
def test_an_order_asks_for_exactly_what_was_ordered(amount, sku):
    made = mapping.new_order(order("ord_1", (sku, amount)), warehouse="NOR1", units=UNITS)
    line = decode(msgspec.json.encode(made), wire.NewOrder).lines[0]
    assert (line.client_sku, Decimal(line.quantity), line.unit) == (sku, amount, "PCE")


def test_only_lines_of_the_warehouse_are_released():
    both = order("ord_1", ("A", 1), ("B", 2))
    elsewhere = msgspec.structs.replace(both.lines[1], location="WST1")
    split = msgspec.structs.replace(both, lines=(both.lines[0], elsewhere))
    assert [line.client_sku for line in mapping.new_order(split, warehouse="WST1", units=UNITS).lines] == ["B"]
    with pytest.raises(Rejected):
        mapping.new_order(split, warehouse="SOU1", units=UNITS)


@pytest.mark.parametrize(
    ("status", "state"),
    [("RELEASED", WorkState.RELEASED), ("PARTIAL", WorkState.PICKING), ("CANCELLED", WorkState.CANCELLED)],
)
def test_an_order_status_becomes_a_state_of_work(status, state):
    known = wire.WmsOrder(order_number="SO-1", client_reference="ord_1", warehouse="NOR1", status=status, lines=())
    assert mapping.work(known).state is state
