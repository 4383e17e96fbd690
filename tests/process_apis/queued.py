"""The queue of exceptions over the owner of a test: what it shows, and what a person does there."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.canonical.trouble import TellsTroubles
from gateway.kernel.context import Caller, Principal, Zone
from gateway.store.postgres import Store
from process_apis.exceptions.models import Entry, State, Wanted
from process_apis.exceptions.options import ExceptionOptions
from process_apis.exceptions.process import Exceptions


class Queue:
    """One tenant's queue with one owner, and `caller` who decides."""

    def __init__(self, store: Store, tenant: str, owner: TellsTroubles, actor: str = "ann") -> None:
        self._tenant = tenant
        self._exceptions = Exceptions(store, [owner], ExceptionOptions())
        principal = Principal(
            subject=actor, tenant=tenant, zones=frozenset({Zone.PROCESS}), scopes=frozenset(), credential="key"
        )
        self.caller = Caller(principal=principal, correlation_id="c", request_id="r", deadline=float("inf"))

    async def look(self) -> Sequence[Entry]:
        """What stands in the queue once a worker has looked."""
        await self._exceptions.sweep.look(self._tenant)
        return await self._exceptions.listed(self._tenant, Wanted())

    async def state(self, entry: Entry) -> State:
        """Where an entry stands once a worker has looked."""
        await self._exceptions.sweep.look(self._tenant)
        return (await self._exceptions.get(self._tenant, entry.entry)).state

    async def story(self, entry: Entry) -> list[str]:
        """What became of it, step by step."""
        found = await self._exceptions.get(self._tenant, entry.entry)
        return [step.what for step in await self._exceptions.history(found)]

    async def retry(self, entry: Entry) -> None:
        """Have it tried again."""
        await self._exceptions.retry(self.caller, entry.entry)

    async def ignore(self, entry: Entry, reason: str) -> None:
        """Let it be."""
        await self._exceptions.ignore(self.caller, entry.entry, reason=reason)
