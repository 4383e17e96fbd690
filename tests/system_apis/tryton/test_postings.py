from decimal import Decimal

import pytest

from gateway.kernel.errors import Conflict
from system_apis.tryton import postings, wire

LINES = {"sale.line,11": 1, "sale.line,12": 2}


def move(number, origin, amount, state="draft", internal=None):
    return wire.Move(number, Decimal(amount), Decimal(internal or amount), state, origin, wire.Code(1, "SKU-1"))


def shipment(*, inventory=(), outgoing=None):
    outgoing = outgoing or [move(1, "sale.line,11", "10"), move(2, "sale.line,12", "3")]
    return wire.Shipment(4, "4", None, "waiting", wire.Code(5, "WH-N"), outgoing, list(inventory))


PICKING = [move(3, "stock.move,1", "10"), move(4, "stock.move,2", "3")]


def test_what_is_planned_is_what_the_picker_will_take():
    assert postings.planned(shipment(inventory=PICKING), LINES) == {1: Decimal(10), 2: Decimal(3)}


def test_a_warehouse_without_an_output_zone_is_planned_by_its_outgoing_moves():
    assert postings.planned(shipment(), LINES) == {1: Decimal(10), 2: Decimal(3)}


def test_lines_that_were_not_shipped_are_set_to_nothing():
    values = postings.quantities(shipment(inventory=PICKING), LINES, {1: Decimal(4)})
    assert values == {"inventory_moves": [("write", [3], {"quantity": 4.0}), ("write", [4], {"quantity": 0.0})]}


def test_a_whole_shipment_needs_no_change_of_quantities():
    assert postings.quantities(shipment(inventory=PICKING), LINES, {1: Decimal(10), 2: Decimal(3)}) == {}


def test_a_line_picked_from_two_places_is_filled_in_their_order():
    split = [move(3, "stock.move,1", "6"), move(5, "stock.move,1", "4"), move(4, "stock.move,2", "3")]
    values = postings.quantities(shipment(inventory=split), LINES, {1: Decimal(7), 2: Decimal(3)})
    assert values == {"inventory_moves": [("write", [5], {"quantity": 1.0})]}


def test_a_move_in_another_unit_is_left_to_a_person():
    other = [move(3, "stock.move,1", "1", internal="12")]
    with pytest.raises(Conflict) as raised:
        postings.quantities(shipment(inventory=other), LINES, {1: Decimal(4)})
    assert raised.value.code == "erp.unit_mismatch"


def test_a_shipment_covers_what_it_holds_and_no_more():
    assert postings.covers(shipment(), LINES, {1: Decimal(10)})
    assert not postings.covers(shipment(), LINES, {1: Decimal(11)})
    assert not postings.covers(shipment(), LINES, {3: Decimal(1)})
