"""Parties: customers with their terms and credit."""

from __future__ import annotations

from msgspec import Struct

from gateway.kernel.money import Money


class Address(Struct, frozen=True, kw_only=True):
    """A postal address; `country` is ISO 3166-1 alpha-2."""

    name: str
    street: str
    city: str
    postal_code: str
    country: str


class CustomerAccount(Struct, frozen=True, kw_only=True):
    """A customer as its ERP knows it. No limit means that the ERP sets none; a `hold` stops new orders."""

    code: str
    name: str
    payment_term: str | None
    credit_limit: Money | None
    balance: Money | None
    hold: bool = False
