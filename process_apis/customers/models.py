"""What the customers process takes in and tells: a customer, what a source says of one, a refusal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

DOMAIN: Final = "customer"
CUSTOMER_PREFIX: Final = "cus"
INHERITED: Final = ("bill_to", "payment_term", "credit_source", "region", "customer_class")
"""What holds for all that belong to a customer, unless they say otherwise."""
ATTRIBUTES: Final = (
    *("name", "roles", "status", "parent", "bill_to"),
    *("street", "city", "postal_code", "country", "region", "tax_id"),
    *("payment_term", "credit_source", "credit_limit", "customer_class"),
)
"""What sources may say of a customer."""
CREDIT_LIMIT: Final = re.compile(r"\d{1,15}(\.\d{1,6})? [A-Z]{3}")
"""An amount and a currency of ISO 4217: ``25000 USD``."""
_LONGEST_PREFIX: Final = 16
DEEPEST: Final = 8
"""How many customers may stand above one."""


class Role(StrEnum):
    """What a customer may be on an order."""

    SOLD_TO = "sold_to"
    SHIP_TO = "ship_to"
    BILL_TO = "bill_to"


class Status(StrEnum):
    """Whether new orders are taken from it."""

    ACTIVE = "active"
    HELD = "held"
    CLOSED = "closed"


class Customer(Struct, frozen=True, kw_only=True):
    """A customer as it counts. `parent` and `bill_to` are numbers of customers."""

    customer: str
    number: str
    attributes: Mapping[str, Any]
    version: int

    @property
    def roles(self) -> tuple[str, ...]:
        """What it may be; one that nobody gave a role may be all of them."""
        return tuple(self.attributes.get("roles") or tuple(Role))


class Change(Struct, frozen=True, kw_only=True):
    """What one source says of the customer `number`; `codes` are added, by source.

    `whole`: it says nothing else of it any more, else what it said of other attributes stands.
    """

    number: str
    attributes: Mapping[str, Any]
    codes: Mapping[str, Sequence[str]] = {}
    whole: bool = False


class SourceOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a system's list of customers is taken.

    A customer that the system names first gets the number `prefix` + its code there. `shared_numbers`: the number of a
    customer that another system has a code for means the same customer here; else it is refused until somebody decides.
    The whole list is read every `whole_seconds`, and what changed at each poll between; `listed` false reads nothing.
    """

    prefix: str = ""
    shared_numbers: bool = False
    whole_seconds: float = 3_600.0
    listed: bool = True

    def __post_init__(self) -> None:
        if len(self.prefix) > _LONGEST_PREFIX or not self.prefix.isprintable() or self.whole_seconds <= 0:
            raise ValueError("a prefix has at most 16 printable characters, and whole_seconds is more than nothing")


class Account(Struct, frozen=True, kw_only=True):
    """A customer with what it inherits, in effect: `above` has the numbers of those it belongs to, nearest first."""

    customer: Customer
    above: tuple[str, ...]
    effective: Mapping[str, Any]
    codes: tuple[tuple[str, str], ...]
