"""What a shop sells by the case is ordered, and paid, by the piece."""

from datetime import UTC, datetime
from decimal import Decimal

from gateway.canonical.channel import ChannelOrder, ChannelOrderKind, ChannelOrderLine
from process_apis.channel_publication.importing import _in_base_units


def line(number, price):
    return ChannelOrderLine(
        line=number, sku="A", quantity=2, version=7, unit_price=None if price is None else Decimal(price)
    )


def test_a_price_of_a_case_is_that_of_its_pieces():
    sold = ChannelOrder(
        event="1", reference="S-1", kind=ChannelOrderKind.PLACED, at=datetime(2026, 11, 22, tzinfo=UTC),
        lines=(line(1, "24.00"), line(2, "19.99"), line(3, None), line(4, "3.50")),
    )  # fmt: skip
    lines = _in_base_units(sold, {1: 12, 2: 12, 3: 12, 4: 1}).lines
    assert [each.quantity for each in lines] == [24, 24, 24, 2]
    assert [each.unit_price for each in lines] == [2, Decimal("1.66583333"), None, Decimal("3.50")]
