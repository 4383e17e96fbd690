"""A file of customers: its columns, and what a row says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from gateway.reference.csv_rows import Column, Layout, one_of, text_of
from process_apis.customers.models import CREDIT_LIMIT, Change, Role, Status

_CODE: Final = "code:"
_COUNTRY: Final = re.compile(r"[A-Z]{2}")


def _roles(text: str) -> list[str]:
    words = text.lower().split()
    if not set(words) <= set(Role):
        raise ValueError(f"some of {', '.join(Role)}, separated by blanks")
    return [role for role in Role if role in words]


def _country(text: str) -> str:
    if _COUNTRY.fullmatch(text) is None:
        raise ValueError("two capital letters of ISO 3166-1, such as US")
    return text


def _credit_limit(text: str) -> str:
    if CREDIT_LIMIT.fullmatch(text) is None:
        raise ValueError("an amount and a currency of ISO 4217, such as 25000 USD")
    return text


LAYOUT: Final = Layout(
    columns=(
        Column("number", text_of(64), required=True),
        Column("name", text_of()),
        Column("roles", _roles),
        Column("status", one_of(*Status)),
        Column("parent", text_of(64)),
        Column("bill_to", text_of(64)),
        Column("street", text_of()),
        Column("city", text_of()),
        Column("postal_code", text_of(20)),
        Column("country", _country),
        Column("region", text_of()),
        Column("tax_id", text_of(40)),
        Column("payment_term", text_of()),
        Column("credit_source", text_of()),
        Column("credit_limit", _credit_limit),
        Column("customer_class", text_of()),
    ),
    families={_CODE: text_of()},
)
"""``code:erp_na`` is what the system erp_na calls the customer; `parent` and `bill_to` are numbers."""


def change_of_row(values: Mapping[str, Any]) -> Change:
    """What one row says; columns without a value are not spoken of."""
    return Change(
        number=values[LAYOUT.key],
        attributes={name: value for name, value in values.items() if name != LAYOUT.key and not name.startswith(_CODE)},
        codes={name.removeprefix(_CODE): (value,) for name, value in values.items() if name.startswith(_CODE)},
    )
