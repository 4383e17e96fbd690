"""What `crossdock master` does: whose word counts in master data, and reading systems' own lists of it now.

Each function returns the command's exit status. What is changed is audited in the name of whose shell it is.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from gateway.app import Core
from gateway.canonical.capabilities import Call, ListsCustomers, ReadsItems
from gateway.governance import print_json, print_table
from gateway.kernel.context import Caller, Principal, Zone
from gateway.kernel.errors import CrossdockError, NotFound, Rejected
from gateway.kernel.ids import new_id
from gateway.kernel.shell import account
from gateway.reference import shapes
from gateway.reference.outcomes import Refusal
from gateway.reference.ownership import Matrix
from gateway.reference.readings import Read, RefusedRecord, refusals
from gateway.reference.survivorship import DEFAULT
from gateway.settings import Settings

_PAGE: Final = 200
_CALL_SECONDS: Final = 60.0
_HEADS: Final = ("SYSTEM", "ITS CODE", "ATTRIBUTE", "WHY", "WHAT TO DO")
_Answer = TypeVar("_Answer")


class Owning(Struct, frozen=True, kw_only=True):
    """What `crossdock master own` is told; roles that `owners` leaves out stay as they are."""

    kind: str
    attribute: str
    owners: Mapping[str, tuple[str, ...]]
    reason: str
    seen: int | None


def owners(settings: Settings, kind: str, *, as_json: bool) -> int:
    """Print who owns what of one kind of record."""
    _tell_matrix(_on(settings, lambda core: core.masters()[kind].ownership(settings.tenant)), as_json=as_json)
    return 0


def show(settings: Settings, kind: str, name: str, *, as_json: bool) -> int:
    """Print of one record whose word each value is, and what the others say."""

    async def look(core: Core) -> shapes.ProvenanceList:
        process = core.masters()[kind]
        record = await process.record_of(settings.tenant, name)
        if record is None:
            raise NotFound(f"there is no {kind[:-1]} {name!r}: check how it is written", code="master.not_found")
        return shapes.provenance_list(await process.provenance(settings.tenant, record))

    found = _on(settings, look).attributes
    if as_json:
        print_json({"attributes": msgspec.to_builtins(found)})
    else:
        print_table(("ATTRIBUTE", "COUNTS", "SAID BY", "OTHERS SAY", "DISPUTED BY"), [_value(each) for each in found])
    return 0


def own(settings: Settings, asked: Owning, *, as_json: bool) -> int:
    """Let somebody else own an attribute, and print who owns what from now on."""

    async def change(core: Core) -> Matrix:
        process = core.masters()[asked.kind]
        before = await process.ownership(settings.tenant)
        made = msgspec.structs.replace(before.attributes.get(asked.attribute, DEFAULT), **asked.owners)
        expected = before.version if asked.seen is None else asked.seen
        return await process.change_ownership(
            _caller(settings.tenant), {asked.attribute: made}, expected=expected, note=asked.reason
        )

    if not asked.owners:
        raise Rejected("say who owns it: --publishes, --enriches, --validates or --consumes", code="ownership.nothing")
    _tell_matrix(_on(settings, change), as_json=as_json)
    return 0


def read(settings: Settings, kind: str, *, source: str | None, whole: bool, as_json: bool) -> int:
    """Read the items or customers of one system, or of all that list them, and print what came of it."""

    async def work(core: Core) -> tuple[list[Read], dict[str, str]]:
        capability, read_list = _LISTS[kind]
        listers: list[tuple[str, Any]] = list(core.directory.find(capability))
        wanted = [each for each in listers if source in (None, each[0])]
        if not wanted:
            known = ", ".join(name for name, _ in listers) or "no system"
            raise NotFound(f"{source or 'no system'} does not list {kind}: {known} does", code="master.not_listed")
        made: list[Read] = []
        failed: dict[str, str] = {}
        for name, lister in wanted:
            try:
                made.append(await read_list(core, settings.tenant, name, lister, whole=whole))
            except CrossdockError as error:
                failed[name] = error.detail
        return made, failed

    made, failed = _on(settings, work)
    if as_json:
        print_json({"readings": msgspec.to_builtins(made), "failed": failed})
    else:
        for each in made:
            what = "the whole list" if each.whole else "what changed"
            sys.stdout.write(
                f"{each.source}: {what}, {each.listed} listed: {each.created} new, {each.changed} changed, "
                f"{each.closed} closed, {len(each.refused)} refused\n"
            )
            for one in each.refused:
                sys.stdout.write(f"  {one.record}: {one.code}: {one.detail}\n")
        for name, why in failed.items():
            sys.stderr.write(f"crossdock: {name} was not read to its end: {why}\n")
    return 1 if failed or any(each.refused for each in made) else 0


async def _items_of(core: Core, tenant: str, name: str, lister: Any, *, whole: bool) -> Read:
    del whole  # a list of items is always read whole
    call = Call(tenant=tenant, correlation_id=new_id("sync"), deadline=core.clock.monotonic() + _CALL_SECONDS)
    made = await core.items.sync(call, name, lister)
    return Read(
        source=name,
        whole=True,
        listed=made.created + made.changed + made.unchanged,
        created=made.created,
        changed=made.changed,
        refused=tuple(Refusal(each.source_code, "", each.code, each.detail) for each in made.refused),
    )


async def _customers_of(core: Core, tenant: str, name: str, lister: Any, *, whole: bool) -> Read:
    return await core.customer_lists.read(tenant, name, lister, whole=whole)


_LISTS: Final[Mapping[str, tuple[type, Callable[..., Awaitable[Read]]]]] = {
    "items": (ReadsItems, _items_of),
    "customers": (ListsCustomers, _customers_of),
}


def refused(settings: Settings, kind: str, *, source: str | None, as_json: bool) -> int:
    """Print what of systems' lists is not taken."""

    async def look(core: Core) -> list[RefusedRecord]:
        found: list[RefusedRecord] = []
        after = None
        while True:
            page = await refusals(core.store, settings.tenant, kind[:-1], source=source, after=after, limit=_PAGE)
            found += page
            if len(page) < _PAGE:
                return found
            after = (page[-1].source, page[-1].record, page[-1].attribute)

    found = _on(settings, look)
    if as_json:
        print_json({"refused": msgspec.to_builtins(found)})
    elif found:
        print_table(_HEADS, [(each.source, each.record, each.attribute, each.code, each.detail) for each in found])
    else:
        sys.stdout.write("nothing is refused\n")
    return 1 if found else 0


def _on(settings: Settings, work: Callable[[Core], Awaitable[_Answer]]) -> _Answer:
    async def opened() -> _Answer:
        async with Core(settings).opened() as core:
            return await work(core)

    return asyncio.run(opened())


def _caller(tenant: str) -> Caller:
    principal = Principal(
        subject=f"cli/{account()}", tenant=tenant, zones=frozenset({Zone.SYSTEM}), scopes=frozenset(),
        credential="shell",
    )  # fmt: skip
    trace = new_id("own")
    return Caller(principal=principal, correlation_id=trace, request_id=trace, deadline=float("inf"))


def _tell_matrix(matrix: Matrix, *, as_json: bool) -> None:
    view = shapes.matrix_view(matrix)
    if as_json:
        print_json(msgspec.to_builtins(view))
        return
    rows = [
        (each.attribute, *(", ".join(some) for some in (each.publishes, each.enriches, each.validates, each.consumes)))
        for each in view.attributes
    ]
    print_table(("ATTRIBUTE", "PUBLISHES", "ENRICHES", "VALIDATES", "CONSUMES"), rows)
    why = (
        f" by {view.changed_by}: {view.note}" if view.changed_by is not None else ", what holds until somebody decides"
    )
    sys.stdout.write(f"version {view.version}{why}\n")


def _value(each: shapes.ProvenanceView) -> Sequence[str]:
    others = "; ".join(f"{one.source}: {_text(one.value)}" for one in each.others)
    return (each.attribute, _text(each.value), each.source or "nobody", others, ", ".join(each.disputed_by))


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
