"""The command `crossdock hold-rules`: what holds or refuses orders, and what a rule would have held."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from gateway.cli_arguments import COUNT, Command, Options, add_group


def add_hold_rule_commands(commands: Any, command: Command, options: Options) -> None:
    """Add them to `commands`; `command` makes one, `options` adds what every command on the record takes."""
    verbs = add_group(commands, "hold-rules", "rules that hold or refuse orders")
    listing = command(verbs, "list", _list, "what holds or refuses orders now, and what is to come")
    text = "what a rule would have held of the orders placed last; nothing is written"
    preview = command(verbs, "preview", _preview, text)
    preview.add_argument("rule", type=Path, metavar="FILE", help="the rule in JSON, as the API takes a new version")
    preview.add_argument("--last", type=COUNT, default=200, help="of so many orders, 1000 at most (default 200)")
    for each in (listing, preview):
        options(each)


def _list(given: argparse.Namespace) -> int:
    from gateway import hold_ruling  # noqa: PLC0415 - `--help` and the services load less

    return hold_ruling.show(given.load(given), as_json=given.json)


def _preview(given: argparse.Namespace) -> int:
    from gateway import hold_ruling  # noqa: PLC0415

    return hold_ruling.preview(given.load(given), given.rule, given.last, as_json=given.json)
