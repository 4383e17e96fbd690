"""What a customer inherits, and what cannot hold. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from gateway.reference.outcomes import Refusal
from process_apis.customers.models import DEEPEST, INHERITED, Role

Values = Mapping[str, Any]
_ALL_ROLES: Final = tuple(Role)


def above(number: str, family: Mapping[str, Values]) -> list[str]:
    """Those that `number` belongs to, nearest first, as far as `family` knows them; a circle ends where it began."""
    found: list[str] = []
    parent = family[number].get("parent") if number in family else None
    while parent is not None and parent not in found and parent != number:
        found.append(parent)
        parent = family[parent].get("parent") if parent in family else None
    return found


def effective(number: str, family: Mapping[str, Values]) -> dict[str, Any]:
    """The values of `number`, with what it inherits; nobody's bill goes to itself."""
    values = dict(family[number])
    for attribute in INHERITED:
        if values.get(attribute) is None:
            chain = (family[each].get(attribute) for each in above(number, family) if each in family)
            values[attribute] = next((value for value in chain if value is not None), None)
    if values.get("bill_to") is None:
        values["bill_to"] = number
    return values


def refusals(numbers: Iterable[str], family: Mapping[str, Values]) -> list[Refusal]:
    """What of these customers cannot hold; `family` has all that they refer to, and those above them, if they exist."""
    found: list[Refusal] = []
    for number in sorted(numbers):
        values = family[number]
        if not values.get("name"):
            found.append(
                Refusal(number, "name", "customer.incomplete", "a customer needs a name: have some source give it one")
            )
        found += _misplaced(number, values, family)
        bill_to = values.get("bill_to")
        if bill_to is not None and bill_to not in family:
            found.append(_unknown(number, "bill_to", bill_to))
        elif bill_to is not None and Role.BILL_TO not in _roles(family[bill_to]):
            detail = f"{bill_to!r} takes no bills: give it the role bill_to, or name another"
            found.append(Refusal(number, "bill_to", "customer.not_bill_to", detail))
    return found


def _misplaced(number: str, values: Values, family: Mapping[str, Values]) -> list[Refusal]:
    parent = values.get("parent")
    if parent is None:
        return []
    if parent not in family:
        return [_unknown(number, "parent", parent)]
    chain = above(number, family)
    if len(chain) > DEEPEST:
        return [
            Refusal(
                number, "parent", "customer.too_deep",
                f"{len(chain)} customers would stand above it, at most {DEEPEST} may: flatten the hierarchy",
            )
        ]  # fmt: skip
    if parent == number or (chain and family.get(chain[-1], {}).get("parent") is not None):
        return [
            Refusal(
                number, "parent", "customer.circle",
                f"{number!r} would belong to itself, by way of {parent!r}: correct one of the parents",
            )
        ]  # fmt: skip
    return []


def _unknown(number: str, attribute: str, other: str) -> Refusal:
    return Refusal(
        number, attribute, "customer.unknown_reference",
        f"there is no customer {str(other)[:60]!r}: add it first, or correct the number",
    )  # fmt: skip


def _roles(values: Values) -> Sequence[str]:
    return values.get("roles") or _ALL_ROLES
