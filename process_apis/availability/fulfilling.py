"""What warehouses did to order lines, and what that consumes of the claims on them.

An order's row is locked before its claims are read, so they stand still until the transaction ends. Picks and
shipments of orders that are not known yet are kept: they wait for the claim.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Event
from gateway.canonical.stock import MovementType
from gateway.store.queries import queries_beside
from process_apis.availability.kitting import items_handled, kit_consumption
from process_apis.availability.lines import LineChange
from process_apis.availability.models import NO_LINE, Handled, LineKey, OpenClaim, Progress
from process_apis.availability.moving import Deed
from process_apis.availability.rules import assigned, consumption, net, settled

_sql: Final = queries_beside(__file__)
_supply: Final = queries_beside(__file__, "supply_queries.sql")
_ZERO: Final = Decimal(0)
_OVER: Final = frozenset({"fulfilled", "released"})


class OrderClaims:
    """The locked orders of one transaction, their versions and claims."""

    def __init__(self, versions: Mapping[str, int], claims: Sequence[OpenClaim]) -> None:
        self.versions = versions
        self.claims = list(claims)

    @classmethod
    async def lock(cls, connection: Connection, tenant: str, orders: Sequence[str]) -> OrderClaims:
        """Lock `orders`, given in order, and read their claims."""
        if not orders:
            return cls({}, [])
        rows = await connection.fetch(_sql.lock_orders, tenant, list(orders))
        claims = await connection.fetch(_sql.claims_of, tenant, list(orders))
        return cls({row["order_id"]: row["version"] for row in rows}, [claim_of_row(row) for row in claims])

    @property
    def keys(self) -> set[LineKey]:
        """The stock lines that these claims count in."""
        return {claim.key for claim in self.claims}

    @property
    def on_supply(self) -> bool:
        """Whether one of them was promised on supply, so that settling them moves stock lines (`move_waiting`)."""
        return any(claim.state == "promised" or claim.commitment == "ahead" for claim in self.claims)

    async def look_again(self, connection: Connection, tenant: str) -> None:
        """Read the claims again behind the locks of their lines, where some are promised on supply.

        Those are changed by whoever brings it, who holds the lines and not the orders.
        """
        if any(claim.state == "promised" for claim in self.claims):
            rows = await connection.fetch(_sql.claims_of, tenant, sorted(self.versions))
            self.claims = [claim_of_row(row) for row in rows]

    async def settle(
        self,
        connection: Connection,
        tenant: str,
        deeds: Iterable[Deed],
        changes: dict[LineKey, LineChange],
        now: datetime,
    ) -> list[Event]:
        """Add what `deeds` did to the progress of their order lines, and consume claims accordingly.

        The effect on stock lines is added to `changes`; the events of claims that ended or came back are returned.
        """
        handled = _net_of(deeds)
        if not handled:
            return []
        rows = [(*key, *sums) for key, sums in sorted(handled.items())]
        await connection.execute(_sql.move_progress, tenant, *map(list, zip(*rows, strict=True)))
        touched = {(order, line) for order, line, *_ in handled}
        return await self.consume(connection, tenant, touched, changes, now)

    async def consume(
        self,
        connection: Connection,
        tenant: str,
        touched: set[tuple[str, int]] | None,
        changes: dict[LineKey, LineChange],
        now: datetime,
    ) -> list[Event]:
        """Reckon the claims of these order lines (None: all) again from what is recorded of them."""
        loose = {order for order, line in touched or () if line == NO_LINE}
        claims = [
            claim
            for claim in self.claims
            if touched is None or claim.order in loose or (claim.order, claim.line) in touched
        ]
        if not claims:
            return []
        rows = await connection.fetch(_sql.progress_of, tenant, sorted({claim.order for claim in claims}))
        handled = [handled_of_row(row) for row in rows]
        progress = assigned(self.claims, handled)
        by_item = items_handled(self.claims, handled) if any(claim.kit for claim in claims) else {}
        by_line: dict[tuple[str, int], list[OpenClaim]] = defaultdict(list)
        for claim in claims:
            by_line[claim.order, claim.line].append(claim)
        pairs = [
            (claim, settled(claim, *shares[claim.claim]))
            for key, some in by_line.items()
            for shares in [
                kit_consumption(some, by_item.get(key, ()))
                if any(claim.kit for claim in some)
                else consumption(some, progress.get(key, ()))
            ]
            for claim in some
        ]
        return await write_claims(
            connection, tenant, [pair for pair in pairs if pair[0] != pair[1]], changes, self.versions, now
        )


async def write_claims(
    connection: Connection,
    tenant: str,
    pairs: Sequence[tuple[OpenClaim, OpenClaim]],
    changes: dict[LineKey, LineChange],
    versions: Mapping[str, int],
    now: datetime,
    reason: str = "handled",
    correlation_id: str | None = None,
) -> list[Event]:
    """Write claims (before, after), their channels' counters, and add their effect on stock lines to `changes`."""
    if not pairs:
        return []
    await update_claims(connection, tenant, [claim for _, claim in pairs], now)
    channels: dict[tuple[str, str, str, str | None], tuple[Decimal, Decimal]] = {}
    for before, claim in pairs:
        change = changes.setdefault(claim.key, LineChange())
        reserved, allocated = _promised(claim), _promised(before)
        change.reserved += reserved[0] - allocated[0]
        change.allocated += reserved[1] - allocated[1]
        counter = (claim.item, claim.channel, claim.owner, claim.allotment)
        opened, drawn = channels.get(counter, (_ZERO, _ZERO))
        given_back = claim.released - before.released if claim.allotment else _ZERO
        channels[counter] = (opened + sum(reserved) - sum(allocated), drawn - given_back)
    await move_waiting(connection, tenant, ((claim.key, _ahead(claim) - _ahead(before)) for before, claim in pairs))
    moved = [(*counter, *deltas) for counter, deltas in channels.items() if any(deltas)]
    if moved:
        rows = await connection.fetch(_sql.move_channels, tenant, *map(list, zip(*moved, strict=True)))
        note_channels(changes, rows)
    return _events(tenant, pairs, versions, now, reason, correlation_id)


async def move_waiting(connection: Connection, tenant: str, moves: Iterable[tuple[LineKey, Decimal]]) -> None:
    """Count promises on supply at the stock lines, locked, where they wait."""
    sums: dict[LineKey, Decimal] = defaultdict(Decimal)
    for key, amount in moves:
        sums[key] += amount
    if rows := [(*key, amount) for key, amount in sorted(sums.items()) if amount]:
        await connection.execute(_supply.move_waiting, tenant, *map(list, zip(*rows, strict=True)))


async def update_claims(connection: Connection, tenant: str, claims: Sequence[OpenClaim], now: datetime) -> None:
    """Write claims as they are after a change, whose effect on sums is the caller's."""
    await connection.execute(
        _sql.update_claims,
        tenant,
        [claim.claim for claim in claims],
        [claim.consumed for claim in claims],
        [claim.released for claim in claims],
        [claim.state for claim in claims],
        now,
        [claim.commitment for claim in claims],
    )


def note_channels(changes: Mapping[LineKey, LineChange], rows: Iterable[Any]) -> None:
    """Remember the counters of an item's channels with its lines: their event carries them to the projection."""
    for row in rows:
        counter = {"channel": row["channel"], "owner": row["owner"], "open": row["open"], "version": row["version"]}
        if row["allotment"] is not None:
            counter |= {"allotment": row["allotment"], "drawn": row["drawn"]}
        for key, change in changes.items():
            if key.item == row["item"]:
                change.channels.append(counter)


def claim_of_row(row: Mapping[str, Any]) -> OpenClaim:
    """A claim from its row."""
    return OpenClaim(
        claim=row["claim"],
        order=row["order_id"],
        line=row["order_line"],
        item=row["item"],
        location=row["location"],
        owner=row["owner"],
        channel=row["channel"],
        amount=row["amount"],
        consumed=row["consumed"],
        released=row["released"],
        state=row["state"],
        commitment=row["commitment"],
        allotment=row["allotment"],
        short=row["short"],
        kit=row["kit"],
        per_kit=row["per_kit"],
    )


def claim_event(
    kind: str, tenant: str, order: str, version: int, now: datetime, correlation_id: str, data: dict[str, Any]
) -> Event:
    """`claim.made` or `claim.ended` of one order, all its claims together."""
    return Event(
        tenant=tenant,
        type=kind,
        aggregate=f"claims/{order}",
        aggregate_version=version,
        occurred_at=now,
        correlation_id=correlation_id,
        data={"order": order, **data},
    )


def claim_data(claim: OpenClaim) -> dict[str, Any]:
    """A claim as its events carry it."""
    of_kit = {} if claim.kit is None else {"kit": claim.kit, "per_kit": claim.per_kit}
    return of_kit | {
        "claim": claim.claim,
        "line": claim.line,
        "item": claim.item,
        "location": claim.location,
        "amount": claim.amount,
        "consumed": claim.consumed,
        "released": claim.released,
        "state": claim.state,
    }


def handled_of_row(row: Mapping[str, Any]) -> Handled:
    """Progress from its row."""
    each = Progress(row["location"], row["picked"], row["shipped"])
    return Handled(row["order_id"], row["order_line"], row["item"], each)


def _net_of(deeds: Iterable[Deed]) -> dict[tuple[str, int, str, str], tuple[Decimal, Decimal]]:
    sums: dict[tuple[str, int, str, str], tuple[Decimal, Decimal]] = {}
    for deed in deeds:
        if deed.order is None:
            continue
        picked, shipped = net(MovementType(deed.type), deed.amount * deed.sign)
        if picked or shipped:
            line = NO_LINE if deed.order_line is None else deed.order_line
            key = (deed.order, line, deed.location, deed.item)
            before = sums.get(key, (_ZERO, _ZERO))
            sums[key] = (before[0] + picked, before[1] + shipped)
    return sums


def _ahead(claim: OpenClaim) -> Decimal:
    return claim.open if claim.state == "promised" else _ZERO


def _promised(claim: OpenClaim) -> tuple[Decimal, Decimal]:
    if claim.state == "promised":
        return _ZERO, _ZERO
    return (claim.open, _ZERO) if claim.state == "reserved" else (_ZERO, claim.open)


def _events(
    tenant: str,
    pairs: Sequence[tuple[OpenClaim, OpenClaim]],
    versions: Mapping[str, int],
    now: datetime,
    reason: str,
    correlation_id: str | None,
) -> list[Event]:
    ended: dict[str, list[OpenClaim]] = defaultdict(list)
    back: dict[str, list[OpenClaim]] = defaultdict(list)
    for before, claim in pairs:
        if (claim.state in _OVER) != (before.state in _OVER):
            (ended if claim.state in _OVER else back)[claim.order].append(claim)
    events = []
    for kind, some, offset in (("claim.ended", ended, 1), ("claim.made", back, 0)):
        for order, claims in sorted(some.items()):
            data = {"reason": reason, "claims": [claim_data(claim) for claim in claims]}
            version = versions[order] - offset
            events.append(claim_event(kind, tenant, order, version, now, correlation_id or order, data))
    return events
