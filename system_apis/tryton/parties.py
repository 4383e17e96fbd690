"""Tryton's parties as customers: which of them are, and what each of their addresses is for. Pure.

In Tryton a party has addresses without a code of their own. The first that takes invoices, else the first, is the
customer's own; every other that takes deliveries or invoices is a customer that belongs to it, called by Tryton's
reference (``party.address,12``). Where none is marked, the customer's own serves for both, as Tryton picks itself.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from gateway.canonical.party import ReportedCustomer
from gateway.kernel.money import Money
from system_apis.tryton import wire

_ADDRESS: Final = "party.address"
_DATED: Final = ("", "addresses.", "payment_terms.", "identifiers.")


def customers(category: str, since: datetime | None) -> list[object]:
    """The domain of parties that are customers; with `since` those of which Tryton dates a change no earlier."""
    them: list[object] = [
        ["OR", ("payment_terms.customer_payment_term", "!=", None), ("categories.name", "=", category)]
    ]
    if since is not None:
        instant = since.astimezone(UTC).replace(tzinfo=None)
        dates = [f"{part}{name}" for part in _DATED for name in ("create_date", "write_date")]
        them.append(["OR", *((name, ">=", instant) for name in dates)])
    return them


def reported(row: wire.Listed, currency: str, hold_category: str) -> list[ReportedCustomer]:
    """The party, then its further addresses; nothing of one without a code, by which it could be named."""
    if not row.code:
        return []
    live = [each for each in row.addresses if each.active is not False and each.active != 0]
    own = next((each for each in live if each.invoice), live[0] if live else None)
    limit = row.credit_limit_amount
    currency = row.currency.code if row.currency and row.currency.code else currency
    party = ReportedCustomer(
        source_code=row.code,
        number=row.code,
        name=row.name or "",
        roles=("sold_to", *_uses(own, live)),
        active=bool(row.active),
        # A category's rec_name is its path ("Sales / Credit hold").
        hold=any(category.rec_name.rpartition(" / ")[2] == hold_category for category in row.categories),
        street=None if own is None else _line(own.street),
        city=None if own is None else _line(own.city),
        postal_code=None if own is None else _line(own.postal_code),
        country=None if own is None or own.country is None else own.country.code,
        tax_id=_line(row.tax_identifier.code) if row.tax_identifier else None,
        payment_term=row.payment_term.rec_name if row.payment_term else None,
        credit_limit=None if limit is None else Money(limit, currency),
    )
    others = [each for each in row.addresses if each is not own and (each.delivery or each.invoice)]
    return [party, *(_further(row, row.code, each) for each in others)]


def _uses(own: wire.PartyAddress | None, live: list[wire.PartyAddress]) -> list[str]:
    """What the customer's own address is for."""
    ships = own is None or own.delivery or not any(each.delivery for each in live)
    bills = own is None or own.invoice or not any(each.invoice for each in live)
    return [role for role, wanted in (("ship_to", ships), ("bill_to", bills)) if wanted]


def _further(row: wire.Listed, code: str, address: wire.PartyAddress) -> ReportedCustomer:
    uses = (("ship_to", address.delivery), ("bill_to", address.invoice))
    return ReportedCustomer(
        source_code=f"{_ADDRESS},{address.id}",
        number=f"{code}/{address.id}",
        name=_line(address.party_name) or row.name or "",
        roles=tuple(role for role, wanted in uses if wanted),
        parent=code,
        active=bool(row.active) and bool(address.active),
        street=_line(address.street),
        city=_line(address.city),
        postal_code=_line(address.postal_code),
        country=None if address.country is None else address.country.code,
    )


def _line(text: str | None) -> str | None:
    """`text` on one line; None when it says nothing."""
    return ", ".join(" ".join(part.split()) for part in (text or "").splitlines() if part.strip()) or None
