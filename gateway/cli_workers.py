"""The command `crossdock workers`: who works, in which slot, on which shape of turns; and having one of them end."""

from __future__ import annotations

import argparse
from typing import Any

from gateway.cli_arguments import Command, Options, add_group, number_from


def add_worker_commands(commands: Any, command: Command, options: Options) -> None:
    """Add them to `commands`; `command` makes one, `options` adds what every command on the record takes."""
    verbs = add_group(commands, "workers", "who works, in which slot and release")
    text = "live workers, and the turns that wait by shape; exits 1 when nobody runs some of them"
    listing = command(verbs, "list", _list, text)
    text = "have a worker end: at once where others run its shape, else when none of its turns is left"
    drain = command(verbs, "drain", _drain, text)
    drain.add_argument("slot", type=number_from(0), help="its slot, as `list` tells it")
    for each in (listing, drain):
        options(each)


def _list(given: argparse.Namespace) -> int:
    from gateway import working  # noqa: PLC0415 - `--help` and the services load less

    return working.show(given.load(given), as_json=given.json)


def _drain(given: argparse.Namespace) -> int:
    from gateway import working  # noqa: PLC0415

    return working.drain(given.load(given), given.slot, as_json=given.json)
