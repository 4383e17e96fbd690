"""Canonical objects to the storefront's shapes and back. Pure."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from experience_apis.storefront.v1 import schemas
from gateway.canonical.item import Item
from gateway.canonical.stock import ItemAvailability
from gateway.kernel.money import Money
from gateway.kernel.quantity import plain


def item_view(item: Item) -> schemas.ItemView:
    """An article as partners see it."""
    return schemas.ItemView(
        id=item.item,
        sku=item.sku,
        name=item.name,
        unit=item.base_uom,
        packs=[schemas.PackView(unit=pack.uom, holds=plain(pack.factor)) for pack in item.packs],
        list_price=None if item.list_price is None else money_view(item.list_price),
    )


def availability_view(item: Item, figure: ItemAvailability) -> schemas.AvailabilityView:
    """A figure in base units; never below zero, since nobody can sell less than nothing."""
    return schemas.AvailabilityView(
        item_id=item.item,
        sku=item.sku,
        available_to_sell=plain(max(figure.available_to_sell, Decimal(0))),
        unit=item.base_uom,
        as_of=instant(figure.as_of),
        confidence=figure.confidence.value,
        version=figure.version,
    )


def money_view(money: Money) -> schemas.MoneyView:
    """An exact amount with at least two decimals, as people write money."""
    amount = plain(money.amount)
    whole, _, decimals = amount.partition(".")
    return schemas.MoneyView(amount=f"{whole}.{decimals.ljust(2, '0')}", currency=money.currency)


def instant(moment: datetime) -> str:
    """RFC 3339 in UTC."""
    return moment.isoformat().replace("+00:00", "Z")
