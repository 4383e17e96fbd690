"""What `crossdock holder` does: tells who holds locations that have a stand-by source, and switches them.

Each function returns the command's exit status.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import msgspec

from gateway.app import Core
from gateway.governance import print_json, print_table
from gateway.kernel.ids import new_id
from gateway.kernel.shell import shell_actor
from gateway.settings import Settings


def show(settings: Settings, *, as_json: bool) -> int:
    """Print every location with a stand-by: its declared holder, its stand-by, and who holds it since when."""

    async def work() -> list[dict[str, Any]]:
        async with Core(settings).opened() as core:
            switched = {row["location"]: row for row in await core.availability.holders(settings.tenant)}
            return [
                _told(place.location, place.holder, place.stand_by, switched.get(place.location))
                for place in core.locations.known.of(settings.tenant)
                if place.stand_by is not None
            ]

    found = asyncio.run(work())
    if as_json:
        print_json({"holders": found})
    elif found:
        heads = ("LOCATION", "HELD BY", "SINCE", "DECLARED", "STAND-BY", "FIRST SNAPSHOT")
        print_table(heads, [_row(each) for each in found])
    else:
        sys.stdout.write("no location has a stand-by source: give one a stand_by in the settings\n")
    return 0


def switch(settings: Settings, location: str, *, to: str, reason: str, as_json: bool) -> int:
    """Let `to` hold `location` from now on."""

    async def work() -> dict[str, Any]:
        async with Core(settings).opened() as core:
            made = await core.availability.switch_holder(
                settings.tenant,
                location,
                to=to,
                actor=shell_actor(),
                reason=reason,
                correlation_id=new_id("swi"),
            )
            told: dict[str, Any] = msgspec.to_builtins(made._asdict())
            return told

    made = asyncio.run(work())
    if as_json:
        print_json(made)
    else:
        sys.stdout.write(
            f"{made['holder']} holds {location} since {made['since']}, and {made['before']} no more: "
            "what stands is kept until its next full snapshot\n"
        )
    return 0


def _told(location: str, declared: str, stand_by: str | None, row: Any) -> dict[str, Any]:
    return {
        "location": location,
        "holder": declared if row is None else row["holder"],
        "since": None if row is None else row["since"].isoformat(),
        "declared": declared,
        "stand_by": stand_by,
        "awaiting": row is not None and row["awaiting"],
        "reason": None if row is None else row["reason"],
    }


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    awaited = "awaited" if each["awaiting"] else ("" if each["since"] is None else "applied")
    return (each["location"], each["holder"], each["since"] or "", each["declared"], each["stand_by"], awaited)
