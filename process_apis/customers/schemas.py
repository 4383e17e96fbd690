"""The shapes of the process API on the wire."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.reference.shapes import Text
from gateway.reference.survivorship import STEWARD
from process_apis.customers.models import CREDIT_LIMIT, Account, Change, Customer

Number = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$(?!\n)")]
Country = Annotated[str, Meta(pattern=r"^[A-Z]{2}$(?!\n)", description="ISO 3166-1 alpha-2")]
CreditLimit = Annotated[
    str,
    Meta(
        pattern=rf"^{CREDIT_LIMIT.pattern}$(?!\n)", description="amount and ISO 4217 currency", examples=["25000 USD"]
    ),
]
RoleName = Literal["sold_to", "ship_to", "bill_to"]
StatusName = Literal["active", "held", "closed"]


class CustomerView(Struct, kw_only=True):
    """A customer as it counts, without what it inherits. `parent` and `bill_to` are numbers."""

    id: str
    number: str
    name: str | None
    roles: list[str]
    status: str
    parent: str | None
    bill_to: str | None
    version: int


class CustomerPage(Struct, kw_only=True):
    """A page of customers."""

    items: Annotated[list[CustomerView], Meta(max_length=200)]
    next_cursor: str | None


class CustomerCode(Struct, kw_only=True):
    """What a system calls a customer."""

    source: str
    code: str


class AccountView(Struct, kw_only=True):
    """A customer with what it inherits from those it belongs to (`above`, nearest first).

    `bill_to`, `payment_term`, `credit_source`, `region` and `customer_class`, which rules of orders speak of, come from
    the nearest that has them; without any, its bills go to itself. `credit_source` is the ERP whose credit decides,
    `credit_limit` the customer's own limit as last told: what an order is held against is asked of the ERP.
    """

    id: str
    number: str
    name: str | None
    roles: list[str]
    status: str
    parent: str | None
    above: list[str]
    bill_to: str
    street: str | None
    city: str | None
    postal_code: str | None
    country: str | None
    region: str | None
    tax_id: str | None
    payment_term: str | None
    credit_source: str | None
    credit_limit: CreditLimit | None
    customer_class: str | None
    codes: list[CustomerCode]
    version: int


class CustomerStatement(Struct, kw_only=True, forbid_unknown_fields=True):
    """What a source says of a customer. What is left out it does not speak of; null says that there is none."""

    name: Text | UnsetType = UNSET
    roles: Annotated[list[RoleName], Meta(min_length=1, max_length=3)] | UnsetType = UNSET
    status: StatusName | UnsetType = UNSET
    parent: Number | UnsetType | None = UNSET
    bill_to: Number | UnsetType | None = UNSET
    street: Text | UnsetType | None = UNSET
    city: Text | UnsetType | None = UNSET
    postal_code: Text | UnsetType | None = UNSET
    country: Country | UnsetType | None = UNSET
    region: Text | UnsetType | None = UNSET
    tax_id: Text | UnsetType | None = UNSET
    payment_term: Text | UnsetType | None = UNSET
    credit_source: Text | UnsetType | None = UNSET
    credit_limit: CreditLimit | UnsetType | None = UNSET
    customer_class: Text | UnsetType | None = UNSET


class CustomerInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """A new customer, what `source` says of it, and each system's code for it."""

    number: Number
    says: CustomerStatement
    codes: Annotated[dict[Text, Text], Meta(max_length=50)] = {}
    source: Text = STEWARD


class CustomerCodeInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What a system calls the customer."""

    code: Text


def customer_view(customer: Customer) -> CustomerView:
    """A customer on the wire."""
    said = customer.attributes
    return CustomerView(
        id=customer.customer,
        number=customer.number,
        name=said.get("name"),
        roles=list(customer.roles),
        status=said.get("status") or "active",
        parent=said.get("parent"),
        bill_to=said.get("bill_to"),
        version=customer.version,
    )


def account_view(account: Account) -> AccountView:
    """A customer with what it inherits on the wire."""
    customer, said = account.customer, account.effective
    texts = ("street", "city", "postal_code", "country", "region", "tax_id")
    terms = ("payment_term", "credit_source", "credit_limit", "customer_class")
    return AccountView(
        id=customer.customer,
        number=customer.number,
        name=said.get("name"),
        roles=list(customer.roles),
        status=said.get("status") or "active",
        parent=said.get("parent"),
        above=list(account.above),
        bill_to=said["bill_to"],
        codes=[CustomerCode(source=source, code=code) for source, code in account.codes],
        version=customer.version,
        **{name: said.get(name) for name in (*texts, *terms)},
    )


def new_customer(data: CustomerInput) -> Change:
    """What a source says of a customer that it adds."""
    codes = {source: (code,) for source, code in data.codes.items()}
    return Change(number=data.number, attributes=said_of(data.says), codes=codes, whole=True)


def said_of(data: CustomerStatement) -> Mapping[str, Any]:
    """What is spoken of."""
    said: dict[str, Any] = msgspec.to_builtins(data)
    return said
