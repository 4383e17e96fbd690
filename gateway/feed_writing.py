"""`crossdock feed`: one feed file, and what was written, for a terminal or as JSON."""

from __future__ import annotations

import asyncio
import sys

import msgspec

from gateway.app import Core
from gateway.governance import print_json
from gateway.settings import Settings
from process_apis.channel_publication.feeding import FeedFile


def write_feed(settings: Settings, channel: str, *, full: bool, as_json: bool) -> int:
    """Write it and say so; returns the command's exit status."""

    async def work() -> FeedFile | None:
        async with Core(settings).opened() as core:
            return await core.publication.write_feed(channel, full=full)

    told = asyncio.run(work())
    if as_json:
        print_json({"written": None if told is None else msgspec.to_builtins(told)})
    elif told is None:
        sys.stdout.write("nothing changed since the last file\n")
    else:
        sys.stdout.write(f"{told.file}: {told.rows} rows, sha256 {told.sha256}\n")
    return 0
