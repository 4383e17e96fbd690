"""Behind the command `crossdock migrate`: a business unit moves from one ERP to another, with its open orders."""

from __future__ import annotations

import argparse
from datetime import datetime

from gateway.cli_arguments import Command, Options


def add_migrate_commands(migrate: argparse.ArgumentParser, command: Command, options: Options) -> None:
    """Add them to the command `migrate`, which alone migrates the record's tables.

    `command` makes one, `options` adds what every command on the record takes.
    """
    verbs = migrate.add_subparsers(metavar="VERB", title="move a business unit from one ERP to another")
    check = command(verbs, "check", _check, "what the ERP to move to lacks: items, customers, codes of locations")
    cut = command(verbs, "cut-over", _cut_over, "let orders placed from an instant on go to the other ERP")
    cut.add_argument("--at", type=_instant, help="with its zone, 2026-11-22T22:00:00+01:00 (default: in a few seconds)")
    cut.add_argument("--force", action="store_true", help="although the check finds that something lacks")
    for each in (check, cut):
        each.add_argument("--location", action="append", default=[], help="only this one of ours; several times")
    orders = command(
        verbs, "orders", _orders, "take open orders along: cancelled in the one, confirmed, then submitted"
    )
    orders.add_argument("--dry-run", action="store_true", help="only tell which would go, and which stay and why")
    status = command(verbs, "status", _status, "cut-overs, and how far the orders are")
    for each in (check, cut, orders, status):
        each.add_argument(
            "--from", dest="from_erp", required=True, metavar="SYSTEM", help="the ERP as it is configured"
        )
        each.add_argument("--to", dest="to_erp", required=True, metavar="SYSTEM", help="the ERP to move to")
    back = command(verbs, "roll-back", _roll_back, "let new orders go where they went before; what moved stays")
    back.add_argument("cut_over", help="its number: see status")
    for each in (check, cut, orders, status, back):
        options(each)


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("give an instant such as 2026-11-22T22:00:00+01:00") from None
    if at.tzinfo is None:
        raise argparse.ArgumentTypeError("give the instant with its zone: 2026-11-22T22:00:00+01:00")
    return at


def _check(given: argparse.Namespace) -> int:
    from gateway import migrating  # noqa: PLC0415 - `--help` and the services load less

    between = (given.from_erp, given.to_erp)
    return migrating.check(given.load(given), *between, locations=given.location, as_json=given.json)


def _cut_over(given: argparse.Namespace) -> int:
    from gateway import migrating  # noqa: PLC0415

    return migrating.cut_over(
        given.load(given), given.from_erp, given.to_erp, at=given.at, locations=given.location, force=given.force,
        as_json=given.json,
    )  # fmt: skip


def _orders(given: argparse.Namespace) -> int:
    from gateway import migrating  # noqa: PLC0415

    between = (given.from_erp, given.to_erp)
    return migrating.orders(given.load(given), *between, dry_run=given.dry_run, as_json=given.json)


def _status(given: argparse.Namespace) -> int:
    from gateway import migrating  # noqa: PLC0415

    return migrating.status(given.load(given), given.from_erp, given.to_erp, as_json=given.json)


def _roll_back(given: argparse.Namespace) -> int:
    from gateway import migrating  # noqa: PLC0415

    return migrating.roll_back(given.load(given), given.cut_over, as_json=given.json)
