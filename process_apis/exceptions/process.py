"""The exceptions: what stands still anywhere, in one queue, and what people decide about it.

Every verb is one transaction: the entry, what its owner does about it, the history and the audit entry commit together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from gateway.canonical.capabilities import Connection
from gateway.canonical.trouble import EditsTroubles, MendedElsewhere, TellsTroubles, Verb
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict, Invalid, Misconfigured, NotFound
from gateway.store.postgres import Store
from process_apis.exceptions import rules
from process_apis.exceptions.bulk import Bulks
from process_apis.exceptions.models import Entry, Revision, Step, Wanted
from process_apis.exceptions.options import ExceptionOptions
from process_apis.exceptions.records import audit, entry_of, lock, save, sql
from process_apis.exceptions.sweeping import Sweep

_LONGEST: Final = 500


class Exceptions:
    """The process. One per OS process; safe to use from any number of tasks."""

    def __init__(self, store: Store, owners: Sequence[TellsTroubles], options: ExceptionOptions | None = None) -> None:
        self.options = options or ExceptionOptions()
        self._store = store
        self._owners = {owner.kind: owner for owner in owners}
        self.sweep = Sweep(store, owners, self.options)
        self.bulks = Bulks(store, self, self.options.alone)
        if len(self._owners) != len(owners):
            raise Misconfigured("two owners of troubles have one name")

    # --- reading ------------------------------------------------------------------------------------------------------

    def wanted(self, **filters: Any) -> Wanted:
        """A filter for `listed` of plain values; raises `Invalid` for a state or class that there is none of."""
        try:
            return msgspec.convert({name: value for name, value in filters.items() if value is not None}, Wanted)
        except msgspec.ValidationError as error:
            raise Invalid(f"there is no such exception: {error}", code="exceptions.filter") from error

    async def listed(
        self, tenant: str, wanted: Wanted, *, after: tuple[int, str] | None = None, limit: int = 50
    ) -> Sequence[Entry]:
        """The most urgent first; `after` is rank and id of the last of the page before."""
        rank, entry = after or (None, None)
        rows = await self._store.fetch(
            sql.list_entries, tenant, wanted.state, wanted.kind, wanted.error_class, wanted.fault_domain, wanted.code,
            wanted.about, wanted.assignee, wanted.least_rank, wanted.raised_from, wanted.raised_before, limit, rank,
            entry,
        )  # fmt: skip
        return [entry_of(row) for row in rows]

    async def get(self, tenant: str, entry: str) -> Entry:
        """One entry; raises `NotFound`."""
        row = await self._store.fetchrow(sql.get_entry, tenant, entry)
        if row is None:
            raise NotFound(f"there is no exception {entry[:40]!r}: look it up in the list", code="exceptions.not_found")
        return entry_of(row)

    async def history(self, entry: Entry) -> Sequence[Step]:
        """What became of it, oldest first."""
        return [msgspec.convert(dict(row), Step) for row in await self._store.fetch(sql.steps, entry.entry)]

    async def revisions(self, entry: Entry) -> Sequence[Revision]:
        """What edits changed."""
        rows = await self._store.fetch(sql.revisions, entry.entry)
        return [_revision(row) for row in rows]

    async def payload(self, entry: Entry) -> Mapping[str, Any] | None:
        """What stands still, as it is: for who may see it. None where nothing can be shown, or it is over."""
        owner = self._owner(entry)
        if not isinstance(owner, EditsTroubles):
            return None
        async with self._store.connection() as connection:
            return await owner.payload(connection, entry.tenant, entry.key)

    async def tallies(self, tenant: str) -> Sequence[Any]:
        """What is not over, by class and fault domain: how many, and the age of the eldest in seconds."""
        return await self._store.fetch(sql.tallies, tenant)

    # --- deciding -----------------------------------------------------------------------------------------------------

    async def assign(self, caller: Caller, entry: str, to: str | None) -> Entry:
        """Make it somebody's, or (None) nobody's."""
        async with self._store.transaction() as connection:
            known = await lock(connection, caller.tenant, entry)
            after = rules.assigned(known, None if to is None else _text(to, "whose it is"))
            if after == known:
                return known
            what = "assigned" if to else "given_back"
            return await self._save(connection, caller, after, what, detail=after.assignee)

    async def retry(self, caller: Caller, entry: str) -> Entry:
        """Have it tried again at once. `Conflict` (``exceptions.retrying``) while another's retry is under way."""
        async with self._store.transaction() as connection:
            return await self.retry_within(connection, caller, entry)

    async def retry_within(
        self, connection: Connection, caller: Caller, entry: str, *, version: int | None = None
    ) -> Entry:
        """As `retry`, in the caller's transaction; with a `version` only while the entry has it."""
        known = await lock(connection, caller.tenant, entry, version)
        now = await connection.fetchval(sql.now)
        after = rules.asked(known, Verb.RETRY, caller.principal.subject, now)
        await self._owner(known).retry(connection, caller, known.key)
        return await self._save(connection, caller, after, "retry")

    async def edit(self, caller: Caller, entry: str, payload: Mapping[str, Any], *, reason: str, version: int) -> Entry:
        """Put `payload` in its place, as a revision, and have that tried.

        `version` is the entry's as it was read: `Conflict` (``exceptions.changed``) where it changed meanwhile.
        """
        reason = _text(reason, "why it is changed")
        async with self._store.transaction() as connection:
            known = await lock(connection, caller.tenant, entry, version)
            now = await connection.fetchval(sql.now)
            owner = self._owner(known)
            instead = owner.mended if isinstance(owner, MendedElsewhere) else None
            after = rules.asked(known, Verb.EDIT, caller.principal.subject, now, instead=instead)
            if not isinstance(owner, EditsTroubles):
                raise Conflict(f"what {known.kind} keeps is not edited here", code="exceptions.verb")
            before = await owner.edit(connection, caller, known.key, payload)
            encoded = [msgspec.json.encode(each).decode() for each in (before, payload)]
            await connection.execute(sql.add_revision, entry, caller.principal.subject, reason, *encoded)
            return await self._save(connection, caller, after, "edit", reason=reason)

    async def ignore(self, caller: Caller, entry: str, *, reason: str) -> Entry:
        """End it without doing what stands still."""
        async with self._store.transaction() as connection:
            return await self.ignore_within(connection, caller, entry, reason=reason)

    async def ignore_within(
        self, connection: Connection, caller: Caller, entry: str, *, reason: str, version: int | None = None
    ) -> Entry:
        """As `ignore`, in the caller's transaction; with a `version` only while the entry has it."""
        reason = _text(reason, "why it need not be done")
        known = await lock(connection, caller.tenant, entry, version)
        now = await connection.fetchval(sql.now)
        after = rules.ignored(known, caller.principal.subject, reason, now)
        await self._owner(known).ignore(connection, caller, known.key, reason)
        return await self._save(connection, caller, after, "ignore", reason=reason)

    async def _save(
        self,
        connection: Connection,
        caller: Caller,
        entry: Entry,
        what: str,
        *,
        reason: str | None = None,
        detail: str | None = None,
    ) -> Entry:
        entry = replace(entry, version=entry.version + 1)
        await save(connection, entry, what, actor=caller.principal.subject, reason=reason, detail=detail)
        told = {"reason": reason, "detail": detail}
        await audit(connection, caller, what, entry, {name: text for name, text in told.items() if text})
        return entry

    def _owner(self, entry: Entry) -> TellsTroubles:
        owner = self._owners.get(entry.kind)
        if owner is None:
            raise Conflict(
                f"nothing here owns {entry.kind} any more: this release cannot change it", code="exceptions.owner"
            )
        return owner


def _text(text: str, what: str) -> str:
    text = text.strip()
    if not text or len(text) > _LONGEST or not text.isprintable():
        raise Invalid(f"say {what}, in one line of at most {_LONGEST} characters", code="exceptions.text")
    return text


def _revision(row: Mapping[str, Any]) -> Revision:
    decoded = {name: msgspec.json.decode(row[name]) for name in ("before", "after")}
    return msgspec.convert({**dict(row), **decoded}, Revision)
