"""What only people decide of purchases, in the queue of exceptions: mappings that lack, departures from an order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gateway.canonical.capabilities import Connection
from gateway.canonical.trouble import Effect, Trouble, TroubleClass, Verb
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict
from process_apis.procure_to_pay.deciding import Deciding
from process_apis.procure_to_pay.intake import Intake
from process_apis.procure_to_pay.models import Decision, KeptNeed
from process_apis.procure_to_pay.posting import Postings
from process_apis.procure_to_pay.records import sql

_needs_of: Final = msgspec.json.Decoder(list[KeptNeed]).decode
_UNMAPPED: Final = "unmapped"
_BOOKING: Final = "booking/"
_EFFECTS: Final = {
    "invoice": Effect.MISBOOKS,
    "over": Effect.MISBOOKS,
    "erp": Effect.MISBOOKS,
    "stray": Effect.HIDES_STOCK,
}


class PurchaseTroubles:
    """`retry` maps again what could not be mapped, and asks an ERP again that refused to book something.

    Ignoring a departure takes it as it is, with the reason given; ignoring a refusal says that a person booked it.

    To refuse one is a decision of its own (``POST /process/procure-to-pay/v1/purchases/{id}/decisions``).
    """

    kind = "purchase"
    mended = "change the purchase order in its ERP, or decide on the purchase itself"

    def __init__(self, intake: Intake, deciding: Deciding, postings: Postings, *, alert_after: int) -> None:
        self._intake = intake
        self._deciding = deciding
        self._postings = postings
        self._alert_after = alert_after

    async def troubles(self, connection: Connection, tenant: str, *, limit: int) -> Sequence[Trouble]:
        """Of each purchase what stands still."""
        found: list[Trouble] = []
        for row in await connection.fetch(sql.troubles, tenant, limit):
            if row["cause"] is not None:
                found.append(_unmapped(row))
            found += [_departure(row, kept) for kept in _needs_of(row["needs"])]
        for row in await connection.fetch(sql.booking_troubles, tenant, self._alert_after, limit):
            found.append(_unbooked(row))
        return found[:limit]

    async def retry(self, connection: Connection, caller: Caller, key: str) -> None:
        """Map it again; `Conflict` where that still does not go."""
        purchase, _, what = key.partition("/")
        if what.startswith(_BOOKING):
            await self._postings.retry(connection, caller, what.removeprefix(_BOOKING))
            return
        if what != _UNMAPPED:
            raise Conflict("this is decided, not tried again", code="exceptions.not_retried")
        after = await self._intake.mend_within(connection, caller.tenant, purchase, caller.correlation_id)
        if after.cause is not None:
            raise Conflict(f"it still cannot be mapped: {after.detail}", code=after.cause)

    async def ignore(self, connection: Connection, caller: Caller, key: str, reason: str) -> None:
        """Take a departure as it is."""
        purchase, _, what = key.partition("/")
        if what.startswith(_BOOKING):
            await self._postings.booked_by_hand(connection, caller, what.removeprefix(_BOOKING), reason)
            return
        if what == _UNMAPPED:
            raise Conflict("mend its mapping, or cancel it in the ERP", code="exceptions.blocking")
        decision = Decision(subject=what, accept=True, reason=reason)
        await self._deciding.decide_within(connection, caller, purchase, decision)


def _unmapped(row: Any) -> Trouble:
    return Trouble(
        key=f"{row['purchase']}/{_UNMAPPED}",
        error_class=TroubleClass.MAPPING,
        effect=Effect.HIDES_STOCK,
        fault_domain=row["source"],
        code=row["cause"],
        detail=f"purchase order {row['number']}: {row['detail']}",
        about=row["purchase"],
        count=1,
        raised_at=row["created_at"],
        last_at=row["changed_at"],
        verbs=(Verb.RETRY,),
    )


def _unbooked(row: Any) -> Trouble:
    refused = row["state"] == "refused"
    return Trouble(
        key=f"{row['purchase']}/{_BOOKING}{row['subject']}",
        error_class=TroubleClass.BUSINESS if refused else TroubleClass.VENDOR_OUTAGE,
        effect=Effect.MISBOOKS,
        fault_domain=row["system"],
        code=row["error_code"] or "purchase.not_booked",
        detail=f"purchase order {row['number']}: the {row['kind']} is not in the ERP's books: {row['error_detail']}",
        about=row["purchase"],
        count=max(row["attempts"], 1),
        raised_at=row["created_at"],
        last_at=row["changed_at"],
        verbs=(Verb.RETRY, Verb.IGNORE) if refused else (),
    )


def _departure(row: Any, kept: KeptNeed) -> Trouble:
    need = kept.need
    return Trouble(
        key=f"{row['purchase']}/{need.key}",
        error_class=TroubleClass.BUSINESS,
        effect=_EFFECTS.get(need.key.partition("/")[0], Effect.DELAYS),
        fault_domain=row["source"],
        code=need.code,
        detail=f"purchase order {row['number']}: {need.detail}",
        about=row["purchase"],
        count=1,
        raised_at=kept.raised_at,
        last_at=row["changed_at"],
        value=need.value,
        currency=row["currency"],
        verbs=(Verb.IGNORE,),
    )
