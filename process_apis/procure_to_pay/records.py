"""Purchases in the record: locked by their row, brought to where their facts say they stand, told with their events."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gateway.canonical.capabilities import Connection
from gateway.canonical.events import Event
from gateway.canonical.purchase import Acknowledgement, ReportedBill, ShipNotice, SupplierInvoice
from gateway.kernel.errors import Conflict, NotFound
from gateway.store import log
from gateway.store.queries import queries_beside
from process_apis.procure_to_pay.models import Decision, Facts, LineClosure, Purchase, SentBack

sql: Final = queries_beside(__file__)
purchase_of_text: Final = msgspec.json.Decoder(Purchase).decode
_encode: Final = msgspec.json.Encoder(decimal_format="string", order="deterministic").encode
_KINDS: Final[Mapping[str, tuple[str, type]]] = {
    "acknowledgement": ("acknowledgements", Acknowledgement),
    "notice": ("notices", ShipNotice),
    "invoice": ("invoices", SupplierInvoice),
    "decision": ("decisions", Decision),
    "closure": ("closures", LineClosure),
    "sent_back": ("sent_back", SentBack),
    "erp_bill": ("bills", ReportedBill),
}


class Document(Struct, frozen=True, kw_only=True):
    """What was said of a purchase, as it was said: `kind` and `reference`, its `body`, who told it and when."""

    kind: str
    reference: str
    sequence: int
    body: Acknowledgement | ShipNotice | SupplierInvoice | Decision | LineClosure | SentBack | ReportedBill
    told_by: str
    told_at: datetime


def encoded(value: Any) -> str:
    """As the record keeps it: decimals as strings."""
    return _encode(value).decode()


def fingerprint(value: Any) -> bytes:
    """Of equal content the same."""
    return hashlib.blake2b(_encode(value), digest_size=16).digest()


async def lock(connection: Connection, purchase: str, tenant: str | None = None) -> datetime:
    """The purchase's row lock until the transaction ends: the record's time; raises `NotFound`."""
    row = await connection.fetchrow(sql.lock, purchase, tenant)
    if row is None:
        raise not_there(purchase)
    now: datetime = row["now"]
    return now


async def load(connection: Connection, purchase: str, tenant: str | None = None) -> Purchase:
    """One purchase; raises `NotFound`."""
    text = await connection.fetchval(sql.get, purchase, tenant)
    if text is None:
        raise not_there(purchase)
    return purchase_of_text(text)


def not_there(purchase: str) -> NotFound:
    """What is said of an id that means nothing here, or something of somebody else."""
    return NotFound(f"there is no purchase order {purchase[:40]!r}: look it up in the list", code="purchase.not_found")


async def load_facts(connection: Connection, purchase: str) -> Facts:
    """All that was said of it."""
    found: dict[str, list[Any]] = {name: [] for name, _ in _KINDS.values()}
    for row in await connection.fetch(sql.facts, purchase):
        name, shape = _KINDS[row["kind"]]
        found[name].append(msgspec.json.decode(row["body"], type=shape))
    received: dict[str, Decimal] = {
        row["item"]: row["amount"] for row in await connection.fetch(sql.received_of, purchase)
    }
    return Facts(**{name: tuple(some) for name, some in found.items()}, received=received)


async def documents_of(connection: Connection, purchase: str) -> Sequence[Document]:
    """All that was said of it, in the order in which it came."""
    return [
        Document(
            kind=row["kind"],
            reference=row["reference"],
            sequence=row["sequence"],
            body=msgspec.json.decode(row["body"], type=_KINDS[row["kind"]][1]),
            told_by=row["told_by"],
            told_at=row["told_at"],
        )
        for row in await connection.fetch(sql.documents, purchase)
    ]


async def keep_fact(
    connection: Connection, purchase: Purchase, kind: str, reference: str, sequence: int, body: Any, told_by: str
) -> bool:
    """Keep what was said, once; False where it is known. Raises `Conflict` where that reference said something else."""
    digest = fingerprint(body)
    made = await connection.fetchval(
        sql.insert_fact, purchase.tenant, purchase.purchase, purchase.supplier, kind, reference, sequence, digest,
        encoded(body), told_by,
    )  # fmt: skip
    if made is not None:
        return True
    known = await connection.fetchrow(
        sql.known_fact, purchase.tenant, purchase.purchase, purchase.supplier, kind, reference, sequence
    )
    if known is not None and known["purchase"] == purchase.purchase and known["fingerprint"] == digest:
        return False
    if kind == "invoice":
        raise Conflict(
            f"invoice {reference} is known with another content, or for another order: a number is used once, for ever",
            code="invoice.number_used",
        )
    raise Conflict(
        f"{kind} {reference} ({sequence}) is known with another content: give a change a higher sequence",
        code="purchase.reference_reused",
    )


async def save_told(
    connection: Connection,
    purchase: Purchase,
    told: Sequence[tuple[str, Mapping[str, Any]]],
    now: datetime,
    correlation: str,
) -> Purchase:
    """Write a locked purchase as it is now, with the events `told`; returns it at the version behind them."""
    partner = await connection.fetchval(sql.partner_of_supplier, purchase.tenant, purchase.supplier)
    after, events = _events_of(purchase, told, partner, now, correlation)
    await save(connection, after)
    await log.append(connection, events)
    return after


async def save(connection: Connection, purchase: Purchase) -> None:
    """Write a locked purchase as it is now, where there is nothing to tell."""
    await connection.execute(
        sql.save, purchase.purchase, purchase.status, purchase.currency, purchase.epoch, purchase.sequence,
        purchase.version, encoded(purchase.reported), purchase.supplier, purchase.location, encoded(purchase.lines),
        purchase.cause, purchase.detail, purchase.state, encoded(purchase.standing), encoded(purchase.needs),
        encoded(purchase.supplied), purchase.supply_parts, purchase.supply_version, purchase.approved_at,
        purchase.acknowledged_at, purchase.received_at, purchase.matched_at,
    )  # fmt: skip


def _events_of(
    purchase: Purchase,
    told: Sequence[tuple[str, Mapping[str, Any]]],
    partner: str | None,
    now: datetime,
    correlation: str,
) -> tuple[Purchase, list[Event]]:
    """The purchase at the version behind `told`, and its events: each with what all of them have.

    `partner` is who speaks for its supplier now, and so hears of it.
    """
    events = []
    for name, data in told:
        purchase = replace(purchase, version=purchase.version + 1)
        events.append(
            Event(
                tenant=purchase.tenant,
                type=name,
                aggregate=purchase.purchase,
                aggregate_version=purchase.version,
                occurred_at=now,
                correlation_id=correlation,
                data={
                    "number": purchase.number,
                    "source": purchase.source,
                    "supplier": purchase.supplier,
                    "partner": partner,
                    "location": purchase.location,
                    "state": purchase.state,
                    "test": purchase.test,
                    **data,
                },
            )
        )
    return purchase, events
