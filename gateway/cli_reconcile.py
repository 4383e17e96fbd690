"""The command `crossdock reconcile`: hold what others say against what we have, now."""

from __future__ import annotations

import argparse
from typing import Any

from gateway.cli_arguments import Command, Options


def add_reconcile_command(commands: Any, command: Command, options: Options) -> None:
    """Add it to `commands`; `command` makes one, `options` adds what every command on the record takes."""
    text = "hold warehouses, ERPs and our books against each other; exits 1 when a difference waits for a person"
    reconcile = command(commands, "reconcile", _reconcile, text)
    reconcile.add_argument("--what", choices=["stock", "orders", "shipments", "invoices"], default="stock",
                           help="what to compare (default stock)")  # fmt: skip
    reconcile.add_argument("--source", help="only what this system says")
    reconcile.add_argument("--location", help="only this location of ours")
    reconcile.add_argument("--fresh", action="store_true", help="first ask the owners of stock for new snapshots")
    reconcile.add_argument("--dry-run", action="store_true", help="write nothing down and correct nothing")
    options(reconcile)


def _reconcile(given: argparse.Namespace) -> int:
    from gateway import reconciling  # noqa: PLC0415 - `--help` and the services load less
    from gateway.plays.progress import Progress  # noqa: PLC0415

    with Progress() as progress:
        return reconciling.reconcile(
            given.load(given),
            what=given.what,
            source=given.source,
            location=given.location,
            fresh=given.fresh,
            dry=given.dry_run,
            as_json=given.json,
            progress=progress,
        )
