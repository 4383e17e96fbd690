"""The command `crossdock holder`: which source holds a location, and switching it to its stand-by."""

from __future__ import annotations

import argparse
from typing import Any

from gateway.cli_arguments import Command, Options, add_group


def add_holder_commands(commands: Any, command: Command, options: Options) -> None:
    """Add them to `commands`; `command` makes one, `options` adds what every command on the record takes."""
    verbs = add_group(commands, "holder", "which source holds a location")
    listing = command(verbs, "list", _list, "locations with a stand-by source, and who holds them now")
    text = "let the stand-by source hold a location from now on, or the declared holder again"
    switch = command(verbs, "switch", _switch, text)
    switch.add_argument("location", help="its id of ours")
    switch.add_argument("--to", required=True, metavar="SOURCE", help="the stand-by, or the declared holder")
    switch.add_argument("--reason", required=True, help="why: the audit trail keeps it")
    for each in (listing, switch):
        options(each)


def _list(given: argparse.Namespace) -> int:
    from gateway import holding  # noqa: PLC0415 - `--help` and the services load less

    return holding.show(given.load(given), as_json=given.json)


def _switch(given: argparse.Namespace) -> int:
    from gateway import holding  # noqa: PLC0415

    return holding.switch(given.load(given), given.location, to=given.to, reason=given.reason, as_json=given.json)
