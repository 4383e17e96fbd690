"""What a system's list says of customers, as changes of ours. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from gateway.canonical.party import ReportedCustomer
from gateway.kernel.quantity import plain
from gateway.reference.outcomes import Refusal
from process_apis.customers.models import Change, SourceOptions, Status

_LONGEST_NUMBER: Final = 64
_LONGEST: Final = {"postal_code": 20, "tax_id": 40}
_LONGEST_TEXT: Final = 200
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_TEXTS: Final = ("name", "street", "city", "postal_code", "country", "tax_id", "payment_term")


class Standing(Struct, frozen=True, kw_only=True):
    """What the record holds of a page: our numbers by the source's codes, and who has codes for numbers it gives."""

    numbers: Mapping[str, str]
    coded: Mapping[str, Sequence[str]]


class Listing(Struct, kw_only=True):
    """What a page comes to. `codes` leads from our number to the source's code, by which refusals are told."""

    changes: list[Change] = []
    codes: dict[str, str] = {}
    refused: list[Refusal] = []

    def told(self, refused: Iterable[Refusal]) -> list[Refusal]:
        """All that is refused, by the source's codes."""
        others = [Refusal(self.codes[each.record], each.attribute, each.code, each.detail) for each in refused]
        return [*self.refused, *others]


def number_of(each: ReportedCustomer, options: SourceOptions) -> str:
    """The number of a customer that the source names first."""
    return f"{options.prefix}{each.number}"


def listing_of(
    reported: Sequence[ReportedCustomer], source: str, options: SourceOptions, standing: Standing
) -> Listing:
    """The changes that `reported` asks for, each number once, and what of it cannot be taken as it stands."""
    made = Listing()
    seen: set[str] = set()
    numbers = {each.source_code: number_of(each, options) for each in reported} | dict(standing.numbers)
    for each in reported:
        refusal = _unlisted(each, source, options, standing) if each.source_code not in seen else _twice(each)
        number = numbers[each.source_code]
        if refusal is None and number in made.codes:
            refusal = _taken(each, number, f"it calls {made.codes[number]!r} so as well: number one of them otherwise")
        seen.add(each.source_code)
        if refusal is not None:
            made.refused.append(refusal)
            continue
        said, unfit = _said(each, source)
        made.refused += unfit
        if each.parent is not None:
            said["parent"] = numbers.get(each.parent, f"{options.prefix}{each.parent}")
        made.codes[number] = each.source_code
        made.changes.append(Change(number=number, attributes=said, codes={source: (each.source_code,)}, whole=True))
    return made


def _unlisted(each: ReportedCustomer, source: str, options: SourceOptions, standing: Standing) -> Refusal | None:
    if each.source_code in standing.numbers:
        return None
    number = number_of(each, options)
    if not 0 < len(number) <= _LONGEST_NUMBER or not number.isprintable():
        detail = "a number has 1 to 64 printable characters: shorten or clean it in the source"
        return Refusal(each.source_code, "number", "customer.number_unfit", detail)
    others = standing.coded.get(number, ())
    if source in others:
        return _taken(each, number, f"{source} has another code for it: correct one of the two")
    if others and not options.shared_numbers:
        who = ", ".join(sorted(set(others)))
        how = "add this code to that customer if they are the same, else give the source a prefix in [customers]"
        return _taken(each, number, f"{who} means a customer by it that may be another one: {how}")
    return None


def _twice(each: ReportedCustomer) -> Refusal:
    detail = "the source lists this code twice: give each customer one code"
    return Refusal(each.source_code, "code", "customer.code_repeated", detail)


def _taken(each: ReportedCustomer, number: str, detail: str) -> Refusal:
    return Refusal(each.source_code, "number", "customer.number_taken", f"{number!r} is taken; {detail}")


def _said(each: ReportedCustomer, source: str) -> tuple[dict[str, Any], list[Refusal]]:
    """What is spoken of, without what does not fit: that is told, and the rest is taken."""
    said: dict[str, Any] = {}
    refused: list[Refusal] = []
    for name in _TEXTS:
        value = getattr(each, name)
        if value is None or value == "":
            continue
        if (why := _unfit(name, value)) is None:
            said[name] = value
        else:
            refused.append(Refusal(each.source_code, name, "customer.unfit", f"taken without it: {why}"))
    if each.roles:
        said["roles"] = list(each.roles)
    said["status"] = (Status.CLOSED if not each.active else Status.HELD if each.hold else Status.ACTIVE).value
    if each.credit_limit is not None:
        said["credit_source"] = source
        said["credit_limit"] = f"{plain(each.credit_limit.amount)} {each.credit_limit.currency}"
    return said, refused


def _unfit(name: str, value: str) -> str | None:
    longest = _LONGEST.get(name, _LONGEST_TEXT)
    if len(value) > longest or not value.isprintable():
        return f"{name} has at most {longest} printable characters: shorten or clean it in the source"
    if name == "country" and _COUNTRY.fullmatch(value) is None:
        return "a country is two capital letters of ISO 3166-1, such as US: correct it in the source"
    return None
