"""What `crossdock migrate` does with ERPs: holds two against each other, cuts over, moves open orders, tells how far.

Each function returns the command's exit status.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from gateway.app import Core
from gateway.canonical.capabilities import Call, ListsCustomers, ReadsCustomers, ReadsItems, TakesOrders
from gateway.governance import print_json, print_table
from gateway.kernel.errors import NotFound
from gateway.kernel.ids import new_id
from gateway.kernel.shell import shell_actor
from gateway.settings import Settings
from process_apis.order_to_ship.moving import Mover

_CALL_SECONDS: Final = 60.0
_PAGE: Final = 200
_SHOWN: Final = 20
_AT_ONCE: Final = 4
Work = Callable[[Core], Awaitable[Mapping[str, Any]]]


def check(settings: Settings, from_erp: str, to_erp: str, *, locations: Sequence[str], as_json: bool) -> int:
    """Print what `to_erp` lacks; 0 when that is nothing."""
    found = _run(settings, lambda core: lacking(core, from_erp, to_erp, locations))
    if as_json:
        print_json(found)
    else:
        _tell_lacking(found, to_erp)
    return 0 if found["complete"] else 1


def cut_over(
    settings: Settings,
    from_erp: str,
    to_erp: str,
    *,
    at: datetime | None,
    locations: Sequence[str],
    force: bool,
    as_json: bool,
) -> int:
    """Let orders placed from `at` on go to `to_erp`, unless something lacks there."""

    async def work(core: Core) -> Mapping[str, Any]:
        found = {} if force else await lacking(core, from_erp, to_erp, locations)
        if found and not found["complete"]:
            return {"lacking": found}
        return await core.orders.moving.cut_over(_mover(core, from_erp, to_erp), at=at, locations=locations)

    made = _run(settings, work)
    if as_json:
        print_json(made)
    elif "lacking" in made:
        _tell_lacking(made["lacking"], to_erp)
    else:
        sys.stdout.write(
            f"{made['cut_over']}: orders placed from {made['effective_at']} on go to {to_erp}; "
            f"those before stay with {from_erp} until `crossdock migrate orders` takes them along\n"
        )
    return 1 if "lacking" in made else 0


def roll_back(settings: Settings, number: str, *, as_json: bool) -> int:
    """Let new orders go where they went before."""
    made = _run(settings, lambda core: core.orders.moving.roll_back(_mover(core, "", ""), number))
    if as_json:
        print_json(made)
    else:
        sys.stdout.write(
            f"orders placed from {made['ended_at']} on go to {made['from']} again; "
            f"those placed meanwhile stay with {made['to']}\n"
        )
    return 0


def orders(settings: Settings, from_erp: str, to_erp: str, *, dry_run: bool, as_json: bool) -> int:
    """Ask that open orders are moved, or only tell which would be."""

    async def work(core: Core) -> Mapping[str, Any]:
        mover, moving = _mover(core, from_erp, to_erp), core.orders.moving
        if not dry_run:
            return {"orders": dict(await moving.move(mover))}
        plan = await moving.plan(mover)
        reasons = Counter(each.stays or "would be moved" for each in plan)
        listed = [{"order": each.order, "state": each.state, "stays": each.stays} for each in plan]
        return {"orders": dict(reasons), "plan": listed}

    made = _run(settings, work)
    if as_json:
        print_json(made)
        return 0
    for what, count in made["orders"].items():
        stays = what not in ("asked", "would be moved")
        sys.stdout.write(f"{count:>8}  {f'stay with {from_erp}: {what}' if stays else what}\n")
    if not made["orders"]:
        sys.stdout.write(f"no open order is with {from_erp}\n")
    return 0


def status(settings: Settings, from_erp: str, to_erp: str, *, as_json: bool) -> int:
    """Print the cut-overs and how far the orders are; 0 when none is under way."""

    async def work(core: Core) -> Mapping[str, Any]:
        moving = core.orders.moving
        cuts = [
            {**row, **{name: _iso(row[name]) for name in ("effective_at", "ended_at", "made_at")}}
            for row in await moving.cut_overs(core.settings.tenant)
            if (row["from_erp"], row["to_erp"]) == (from_erp, to_erp)
        ]
        return {"cut_overs": cuts, **await moving.progress(_mover(core, from_erp, to_erp))}

    found = _run(settings, work)
    if as_json:
        print_json(found)
        return 0 if not found["under_way"] else 1
    if found["cut_overs"]:
        heads = ("CUT-OVER", "FROM INSTANT", "ROLLED BACK", "LOCATIONS", "ORDERS PLACED", "BY")
        print_table(heads, [_cut_row(row) for row in found["cut_overs"]])
    else:
        sys.stdout.write("no cut-over\n")
    sys.stdout.writelines(f"{count:>8}  {state}\n" for state, count in found["moves"].items())
    for each in found["orders"]:
        sys.stdout.write(f"  {each['order']}  {each['move']}  {each['state']}  {each['detail'] or ''}\n")
    return 0 if not found["under_way"] else 1


async def lacking(core: Core, from_erp: str, to_erp: str, locations: Sequence[str]) -> Mapping[str, Any]:
    """What `to_erp` does not know of the items and customers that `from_erp` lists, and places without a code there.

    An item must have the same base unit; a customer must be found there by the number that orders name.
    """
    directory = core.directory
    directory.instance(to_erp, TakesOrders)
    theirs = await _units(core, from_erp)
    ours = await _units(core, to_erp)
    missing = sorted(code for code in theirs if code not in ours)
    other = sorted(
        f"{code}: {theirs[code]}, there {ours[code]}" for code in theirs if ours.get(code, theirs[code]) != theirs[code]
    )
    moves = [
        place for place in directory.locations if directory.erp_of(core.settings.tenant, place.location) == from_erp
    ]
    places = [place for place in moves if not locations or place.location in locations]
    unknown = [place.location for place in places if to_erp not in place.codes]
    customers = await _unknown_customers(core, from_erp, to_erp)
    found = {
        "items": missing,
        "units": other,
        "customers": customers,
        "locations": unknown,
        "not_here": sorted(set(locations) - {place.location for place in moves}),
    }
    told = {"items": len(theirs), "locations": [place.location for place in places]}
    return {"lacking": found, "compared": told, "complete": not any(found.values()) and bool(places)}


async def _units(core: Core, erp: str) -> dict[str, str]:
    reads, cursor = core.directory.instance(erp, ReadsItems), None
    known: dict[str, str] = {}
    while True:
        page = await reads.read_items(_call(core), cursor=cursor, limit=_PAGE)
        known |= {item.sku: item.base_uom for item in page.items if item.sellable}
        cursor = page.next_cursor
        if cursor is None:
            return known


async def _unknown_customers(core: Core, from_erp: str, to_erp: str) -> list[str]:
    lists, cursor = core.directory.instance(from_erp, ListsCustomers), None
    codes: list[str] = []
    while True:
        page = await lists.list_customers(_call(core), cursor=cursor, limit=_PAGE)
        codes += [each.source_code for each in page.customers if each.active and each.parent is None]
        cursor = page.next_cursor
        if cursor is None:
            break
    reads, gate = core.directory.instance(to_erp, ReadsCustomers), asyncio.Semaphore(_AT_ONCE)

    async def known(code: str) -> bool:
        async with gate:
            try:
                await reads.read_customer(_call(core), code=code)
            except NotFound:
                return False
            return True

    there = await asyncio.gather(*map(known, codes))
    return sorted(code for code, found in zip(codes, there, strict=True) if not found)


def _call(core: Core) -> Call:
    deadline = core.clock.monotonic() + _CALL_SECONDS
    return Call(tenant=core.settings.tenant, correlation_id=new_id("mig"), deadline=deadline)


def _mover(core: Core, from_erp: str, to_erp: str) -> Mover:
    return Mover(
        tenant=core.settings.tenant, actor=shell_actor(), correlation_id=new_id("mig"), from_erp=from_erp,
        to_erp=to_erp,
    )  # fmt: skip


def _run(settings: Settings, work: Work) -> Mapping[str, Any]:
    async def opened() -> Mapping[str, Any]:
        async with Core(settings).opened() as core:
            return await work(core)

    return asyncio.run(opened())


def _tell_lacking(found: Mapping[str, Any], to_erp: str) -> None:
    texts = {
        "items": "items that it does not know",
        "units": "items that it counts in another unit",
        "customers": "customers that it does not know by our number",
        "locations": f"locations without a code for {to_erp}",
        "not_here": "locations that do not belong to the ERP to move from",
    }
    for name, text in texts.items():
        if some := found["lacking"][name]:
            more = f" and {len(some) - _SHOWN} more" if len(some) > _SHOWN else ""
            sys.stdout.write(f"{to_erp} lacks: {len(some)} {text}: {', '.join(some[:_SHOWN])}{more}\n")
    if found["complete"]:
        places = ", ".join(found["compared"]["locations"])
        sys.stdout.write(
            f"{to_erp} has all {found['compared']['items']} items and all customers; it takes over {places}\n"
        )
    elif not found["compared"]["locations"]:
        sys.stdout.write("no location would move: check --from and --location\n")


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _cut_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    places = ", ".join(row["locations"]) or "all"
    ended = row["ended_at"] or "-"
    return (row["cut_over_id"], row["effective_at"], ended, places, str(row["orders"]), row["made_by"])
