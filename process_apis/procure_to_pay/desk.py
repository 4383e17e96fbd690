"""What a buyer does from a purchase's page, each in one transaction with its audit entry. May be repeated as it is."""

from __future__ import annotations

from decimal import Decimal

from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict
from gateway.store.audit import record_act
from gateway.store.postgres import Store
from process_apis.procure_to_pay.deciding import Deciding
from process_apis.procure_to_pay.intake import Intake
from process_apis.procure_to_pay.models import Decision, LineClosure, Purchase, SentBack
from process_apis.procure_to_pay.posting import Postings


class BuyersDesk:
    """The verbs of purchasing in plain words, for people who look at one purchase."""

    def __init__(self, store: Store, intake: Intake, deciding: Deciding, postings: Postings) -> None:
        self._store = store
        self._intake = intake
        self._deciding = deciding
        self._postings = postings

    async def decide(self, caller: Caller, purchase: str, *, subject: str, accept: bool, reason: str) -> Purchase:
        """Take a departure as it is, or refuse it: see `Deciding.decide`."""
        return await self._deciding.decide(caller, purchase, Decision(subject=subject, accept=accept, reason=reason))

    async def close_line(self, caller: Caller, purchase: str, *, line: int, reason: str) -> Purchase:
        """Wait no more for what is open of a line: see `Deciding.close_line`."""
        return await self._deciding.close_line(caller, purchase, LineClosure(line=line, reason=reason))

    async def send_back(
        self, caller: Caller, purchase: str, *, number: str, line: int, amount: Decimal, reason: str
    ) -> Purchase:
        """Note that `amount` of a line, in its own unit, went back under `number`: see `Deciding.send_back`."""
        sent = SentBack(number=number, line=line, amount=amount, reason=reason)
        return await self._deciding.send_back(caller, purchase, sent)

    async def map_again(self, caller: Caller, purchase: str) -> Purchase:
        """Try anew to map what could not be mapped; raises `Conflict` with the cause where it still cannot be."""
        async with self._store.transaction() as connection:
            after = await self._intake.mend_within(connection, caller.tenant, purchase, caller.correlation_id)
            if after.cause is not None:
                raise Conflict(f"it still cannot be mapped: {after.detail}", code=after.cause)
            await record_act(connection, caller, "purchase.map_again", purchase, after.state, {})
        return after

    async def retry_booking(self, caller: Caller, posting: str) -> None:
        """Ask the ERP again for what it refused: see `Postings.retry`."""
        async with self._store.transaction() as connection:
            await self._postings.retry(connection, caller, posting)

    async def booked_by_hand(self, caller: Caller, posting: str, *, reason: str) -> None:
        """A person booked what the ERP refused: see `Postings.booked_by_hand`."""
        async with self._store.transaction() as connection:
            await self._postings.booked_by_hand(connection, caller, posting, reason)
