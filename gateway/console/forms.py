"""What people write into forms, read strictly, and the action under which a form that is sent twice does it once."""

import hashlib
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

from gateway.console.access import actor_of
from gateway.identity.console_users import ConsoleUser
from gateway.kernel.errors import Invalid

_LONGEST_REASON: Final = 200
_LONGEST_ID: Final = 40
_LARGEST: Final = Decimal(10) ** 12
_FINEST: Final = 9


def reason_in(form: Mapping[str, str]) -> str:
    """Why a person does it, at most 200 characters of it; raises `Invalid` where nothing is said."""
    reason = form.get("reason", "").strip()[:_LONGEST_REASON]
    if not reason or not reason.isprintable():
        raise Invalid("say why: the audit trail keeps it", code="console.reason")
    return reason


def place_in(text: str) -> str | None:
    """The id of a list's last entry, behind which its next page begins; None for what is none."""
    text = text[:_LONGEST_ID]
    return text if text.isalnum() or "_" in text else None


def number_in(text: str, otherwise: str) -> int:
    """A number of a form, 1 or more; raises `Invalid` with what to do `otherwise`."""
    if not text.isascii() or not text.isdigit() or len(text) > 18 or not int(text) > 0:  # noqa: PLR2004
        raise Invalid(otherwise, code="console.number")
    return int(text)


def amount_in(text: str) -> Decimal | None:
    """An amount of a form in base units, None where nothing was written; raises `Invalid`."""
    if not text:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation as error:
        raise Invalid("write the amount as a number of base units", code="console.amount") from error
    exponent = amount.as_tuple().exponent
    if not amount.is_finite() or not 0 < amount <= _LARGEST or not isinstance(exponent, int) or exponent < -_FINEST:
        raise Invalid("write an amount above zero", code="console.amount")
    return amount


def action_of(user: ConsoleUser, *said: str) -> str:
    """The action id of what `user` said: the same words, with the version that the page showed, are the same action."""
    content = "\n".join([actor_of(user), *said])
    return f"console-{hashlib.sha256(content.encode()).hexdigest()[:32]}"
