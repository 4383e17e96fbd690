"""The command `crossdock import`: what can be typed, and who does it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

from gateway.cli_arguments import Command, Options

KINDS: Final = ("items", "kits", "substitutes", "locations", "customers")


def add_import_command(commands: Any, command: Command, options: Options) -> None:
    """Add it to `commands`; `command` makes one, `options` adds what it takes besides."""
    made = command(commands, "import", _import, "take master data from a CSV file, with a report of each refused row")
    made.add_argument("kind", choices=KINDS, help="what the rows are")
    made.add_argument("file", type=Path, help="CSV (RFC 4180), UTF-8, with a header; columns: docs/operator.md")
    made.add_argument("--source", default="steward", help="whose word it is (default: steward, a person's)")
    made.add_argument("--dry-run", action="store_true", help="change nothing, tell what would happen")
    made.add_argument("--partial", action="store_true", help="take what can be taken; else all rows or none")
    options(made)


def _import(given: argparse.Namespace) -> int:
    from gateway import master_data  # noqa: PLC0415 - `--help` and the services load less

    asked = master_data.Import(
        kind=given.kind, file=given.file, source=given.source, dry_run=given.dry_run, partial=given.partial
    )
    return master_data.take_file(given.load(given), asked, as_json=given.json)
