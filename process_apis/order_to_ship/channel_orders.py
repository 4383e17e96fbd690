"""What a channel sold by itself, taken as an order like any other: nothing that its buyer was promised is refused.

What an order needs and the channel did not tell stops the order as an exception, before anybody works on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from decimal import Decimal
from typing import Final

import msgspec
from msgspec.structs import replace

from gateway.canonical.capabilities import ChannelAccount, Connection
from gateway.canonical.channel import ChannelOrder
from gateway.canonical.item import Item
from gateway.canonical.party import Address
from gateway.kernel.context import Caller, Principal, Zone
from gateway.kernel.errors import Conflict
from process_apis.order_to_ship.acceptance import Acceptance
from process_apis.order_to_ship.models import ExceptionClass, Finding, Order, OrderLine, PlaceOrder
from process_apis.order_to_ship.records import Change, find_by_identity, lock

_ZERO: Final = Decimal(0)
_KIND: Final = "channel"
_NOWHERE: Final = Address(name="", street="", city="", postal_code="", country="")
Cancels = Callable[[Connection, Caller, str, str], Awaitable[Order]]


class ChannelOrders:
    """Takes and gives up orders in the transaction that imports them."""

    def __init__(self, acceptance: Acceptance) -> None:
        self._acceptance = acceptance

    async def take(
        self, connection: Connection, account: ChannelAccount, order: ChannelOrder, items: Mapping[int, Item]
    ) -> Mapping[int, Decimal]:
        """What stock could give of each line whose item is known; an order without any is not taken."""
        if not items:
            return {}
        command = _command(account, order)
        draft = replace(
            self._acceptance.draft(command),
            lines=(lines := tuple(_lines(account, order, items))),
            total=sum((line.ordered * line.unit_price for line in lines), _ZERO),
            exceptions=tuple(_incomplete(account, order, items)),
        )
        content = hashlib.sha256(msgspec.json.encode(order)).digest()
        taken = await self._acceptance.accept_within(connection, command, draft, content)
        return {line.line: line.ordered - line.oversold for line in taken.lines}

    async def give_up(
        self, connection: Connection, account: ChannelAccount, order: ChannelOrder, cancel: Cancels
    ) -> bool:
        """Cancel the order; what can no longer be is shown to people, because its buyer believes that it is."""
        command = _command(account, order)
        found = await find_by_identity(connection, self._acceptance.draft(command))
        if found is None:
            return False
        try:
            await cancel(connection, command.caller, found.order_id, f"cancelled in {account.channel}")
        except Conflict as refused:
            known, now = await lock(connection, found.order_id)
            change = Change(connection, known, now)
            change.find(
                _finding(
                    ExceptionClass.CANCEL_REFUSED,
                    "channel.cancelled_late",
                    f"{account.channel} cancelled {order.reference}, but {refused.detail}: stop the goods, or have "
                    "them returned, and tell the buyer",
                    target="cancelled",
                    blocking=False,
                )
            )
            await change.save()
        return True


def _command(account: ChannelAccount, order: ChannelOrder) -> PlaceOrder:
    principal = Principal(
        account.tenant, f"channel/{account.channel}", "import", frozenset({Zone.PROCESS}), frozenset(),
        channel=account.channel,
    )  # fmt: skip
    name = f"{account.channel}/{order.reference}"
    return PlaceOrder(
        caller=Caller(principal, name, name, float("inf")),
        channel=account.channel,
        partner=None,
        sold_to=account.sold_to,
        external_number=order.reference,
        currency=order.currency or account.currency,
        ship_to=order.ship_to or _NOWHERE,
        lines=(),
    )


def _lines(account: ChannelAccount, order: ChannelOrder, items: Mapping[int, Item]) -> Iterator[OrderLine]:
    for line in order.lines:
        item = items.get(line.line)
        if item is None or line.quantity <= 0:
            continue
        amount = Decimal(line.quantity)
        yield OrderLine(
            line=line.line,
            item=item.item,
            sku=item.sku,
            asked_amount=amount,
            asked_uom=item.base_uom,
            uom=item.base_uom,
            factor=Decimal(1),
            unit_price=_price(account, order, line.unit_price, item) or _ZERO,
            ordered=amount,
            open=amount,
        )


def _price(account: ChannelAccount, order: ChannelOrder, told: Decimal | None, item: Item) -> Decimal | None:
    """What the buyer pays, else our list price in that currency."""
    if told is not None:
        return told
    listed = item.list_price
    return listed.amount if listed and listed.currency == (order.currency or account.currency) else None


def _incomplete(account: ChannelAccount, order: ChannelOrder, items: Mapping[int, Item]) -> Iterator[Finding]:
    lacks = [f"line {line.line} sells {line.sku!r}, which is no item of ours" for line in order.lines
             if line.line not in items]  # fmt: skip
    lacks += [
        f"line {line.line} has no price"
        for line in order.lines
        if line.line in items and _price(account, order, line.unit_price, items[line.line]) is None
    ]
    if order.ship_to is None:
        lacks.append("it has no address")
    if lacks:
        detail = f"{'; '.join(lacks)}: complete it in {account.channel} and our items, and cancel this one or retry"
        yield _finding(
            ExceptionClass.MISCONFIGURED, "channel.order_incomplete", detail, target="incomplete", blocking=True
        )


def _finding(kind: ExceptionClass, code: str, detail: str, *, target: str, blocking: bool) -> Finding:
    return Finding(
        exception=kind,
        fault_domain="channel",
        code=code,
        detail=detail[:2_000],
        blocking=blocking,
        kind=_KIND,
        target=target,
    )
