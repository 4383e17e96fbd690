"""Troubles: what stands still somewhere and waits for a system to come back, or for a person.

Whoever sets something aside keeps it in its own record, in its own transaction, and tells it when asked
(`TellsTroubles`). The one queue of `process_apis/exceptions` shows all of it, and asks back what a person decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Protocol, runtime_checkable

from msgspec import Struct

from gateway.canonical.capabilities import Connection
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict

OURS: Final = "ours"
"""The fault domain of what is wrong with us; others are names of system instances or of partners."""


class TroubleClass(StrEnum):
    """Why it stands still, as far as the next step depends on it (`semantics.md` 6)."""

    TRANSIENT = "transient"
    THROTTLED = "throttled"
    MAPPING = "mapping"
    VALIDATION = "validation"
    SEQUENCE = "sequence"
    VENDOR_OUTAGE = "vendor_outage"
    BUSINESS = "business"
    DEFECT = "defect"


class Effect(StrEnum):
    """What it does to the business while it stands still, the worst first."""

    OVERSELLS = "oversells"
    STOPS_ORDER = "stops_order"
    HIDES_STOCK = "hides_stock"
    MISBOOKS = "misbooks"
    DELAYS = "delays"
    TELLS_LATE = "tells_late"


class Verb(StrEnum):
    """What a person may have done about it."""

    RETRY = "retry"
    EDIT = "edit"
    IGNORE = "ignore"


class Trouble(Struct, frozen=True, kw_only=True):
    """One trouble as its owner knows it now.

    `key` names it for ever among those of its owner: the same trouble again has the same key. `count` is how many
    messages it holds, `value` the money behind them in `currency`. `last_at` is when it failed last. With
    `by_itself_at` it is tried again then without anybody's help.
    """

    key: str
    error_class: TroubleClass
    effect: Effect
    fault_domain: str
    code: str
    detail: str
    about: str
    count: int
    raised_at: datetime
    last_at: datetime
    by_itself_at: datetime | None = None
    value: Decimal | None = None
    currency: str | None = None
    verbs: tuple[Verb, ...] = ()


def settled_meanwhile() -> Conflict:
    """What an owner raises where a trouble that somebody decides about is over."""
    return Conflict("it is settled meanwhile: read it again", code="exceptions.over")


def decided_on(what: str) -> Conflict:
    """What an owner raises for a verb that it does not have: the decision is taken where `what` is shown."""
    return Conflict(f"a person decides this on the {what} itself", code="exceptions.not_allowed")


class TellsTroubles(Protocol):
    """An owner of troubles. All of it takes part in the caller's transaction.

    `retry` and `ignore` raise `Conflict` where the trouble is over, or does not allow it.
    """

    @property
    def kind(self) -> str:
        """The owner's name in the queue, stable for ever."""
        ...

    async def troubles(self, connection: Connection, tenant: str, *, limit: int) -> Sequence[Trouble]:
        """All that is open, up to `limit`."""
        ...

    async def retry(self, connection: Connection, caller: Caller, key: str) -> None:
        """Have it tried again at once."""
        ...

    async def ignore(self, connection: Connection, caller: Caller, key: str, reason: str) -> None:
        """Close it without doing what stood still."""
        ...


@runtime_checkable
class MendedElsewhere(Protocol):
    """An owner whose troubles are not edited in the queue: what stands still there is somebody else's word."""

    @property
    def mended(self) -> str:
        """What a person does instead of an edit, as an instruction."""
        ...


@runtime_checkable
class EditsTroubles(Protocol):
    """An owner whose messages can be shown and put right, in the caller's transaction."""

    async def payload(self, connection: Connection, tenant: str, key: str) -> Mapping[str, Any] | None:
        """What stands still, as JSON; None where nothing can be shown."""
        ...

    async def edit(
        self, connection: Connection, caller: Caller, key: str, payload: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Put `payload` in place of what stands still and have that tried; returns what stood there.

        Raises `Conflict` where the trouble is over or not one message, `Invalid` for what is none.
        """
        ...
