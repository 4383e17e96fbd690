"""The command `crossdock history`: how far back questions are answered, and what the answers lie in."""

from __future__ import annotations

import argparse
from typing import Any

from gateway.cli_arguments import Command, Options


def add_history_command(commands: Any, command: Command, options: Options) -> None:
    """Add it to `commands`; `command` makes it, `options` adds what every command on the record takes."""
    options(command(commands, "history", _history, "how far back questions about stock are answered, and its sizes"))


def _history(given: argparse.Namespace) -> int:
    from gateway import reaching_back  # noqa: PLC0415 - `--help` and the services load less

    return reaching_back.show(given.load(given), as_json=given.json)
