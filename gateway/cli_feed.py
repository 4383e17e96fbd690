"""The command `crossdock feed`: write a channel's feed file now."""

from __future__ import annotations

import argparse
from typing import Any

from gateway.cli_arguments import Command, Options


def add_feed_command(commands: Any, command: Command, options: Options) -> None:
    """Add it to `commands`; `command` makes one, `options` adds what every command on the record takes."""
    feed = command(
        commands, "feed", _feed, "write a channel's feed file now: what changed since the last, or everything"
    )
    feed.add_argument("channel", help="a channel whose settings have a feed")
    feed.add_argument("--full", action="store_true", help="everything, not only what changed")
    options(feed)


def _feed(given: argparse.Namespace) -> int:
    from gateway.feed_writing import write_feed  # noqa: PLC0415 - `--help` and the services load less

    return write_feed(given.load(given), given.channel, full=given.full, as_json=given.json)
