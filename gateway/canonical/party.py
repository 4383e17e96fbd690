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


class ReportedCustomer(Struct, frozen=True, kw_only=True):
    """A customer, or one more address of it, as one system lists it.

    `source_code` is that system's own key, `number` what people call it there. `parent` is the `source_code` of the
    customer that this one belongs to; whoever reports it reports that one no later than in the same page. `roles` are
    some of ``sold_to``, ``ship_to``, ``bill_to``; `country` is ISO 3166-1 alpha-2. One that is not `active` is archived
    there; `hold` stops new orders for a while.
    """

    source_code: str
    number: str
    name: str
    roles: tuple[str, ...]
    parent: str | None = None
    active: bool = True
    hold: bool = False
    street: str | None = None
    city: str | None = None
    postal_code: str | None = None
    country: str | None = None
    tax_id: str | None = None
    payment_term: str | None = None
    credit_limit: Money | None = None


class CustomerStanding(Struct, frozen=True, kw_only=True):
    """What our own list of customers says of one, with what it inherits.

    From one that is `closed`, or that does not order (`may_order`: it only receives or pays), no new orders are taken;
    those of one that is `held` wait for a person. `customer_class` is what rules may speak of.
    """

    number: str
    closed: bool = False
    held: bool = False
    may_order: bool = True
    customer_class: str | None = None
    postal_code: str | None = None
    country: str | None = None


class CustomerAccount(Struct, frozen=True, kw_only=True):
    """A customer as its ERP knows it. No limit means that the ERP sets none; a `hold` stops new orders."""

    code: str
    name: str
    payment_term: str | None
    credit_limit: Money | None
    balance: Money | None
    hold: bool = False
