"""The command `crossdock exceptions`: what stands still, and what is done about it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from gateway.cli_arguments import COUNT, Command, Options, add_group

_FILTERS = (
    ("--kind", "KIND", "whose they are: dead_letter, parked, order and others"),
    ("--class", "CLASS", "why: transient, throttled, mapping, validation, sequence, vendor_outage, business, defect"),
    ("--fault-domain", "WHO", "a system instance, a partner, or ours"),
    ("--code", "CODE", "the error's code"),
    ("--about", "ID", "an order, a report, an aggregate of the log"),
)


def add_exception_commands(commands: Any, command: Command, options: Options) -> None:
    """Add them to `commands`; `command` makes one, `options` adds what every command on the record takes."""
    verbs = add_group(commands, "exceptions", "what stands still and waits for a person")
    listing = command(verbs, "list", _list, "the most urgent first; exits 1 when anything waits for a person")
    for name, shown, text in _FILTERS:
        listing.add_argument(name, metavar=shown, help=f"only these: {text}")
    listing.add_argument("--assignee", metavar="NAME", help="only what is theirs; '' for nobody's")
    listing.add_argument("--state", choices=["open", "assigned", "retrying", "resolved", "ignored"], help="only these")
    listing.add_argument("--limit", type=COUNT, default=50, help="at most so many (default 50)")
    show = command(verbs, "show", _show, "one of them with its history and its payload, redacted")
    assign = command(verbs, "assign", _decide, "make it somebody's")
    assign.add_argument("--to", metavar="NAME", help="whose it is; left out: nobody's")
    retry = command(verbs, "retry", _decide, "have it tried again at once")
    edit = command(verbs, "edit", _decide, "put another payload in its place, as a revision, and have that tried")
    edit.add_argument("--payload", type=Path, required=True, metavar="FILE", help="JSON, whole")
    edit.add_argument("--version", type=COUNT, required=True, help="of the exception as `show` told it")
    ignore = command(verbs, "ignore", _decide, "end it without doing what stands still")
    for each in (edit, ignore):
        each.add_argument("--reason", required=True, help="why: the audit trail keeps it")
    for verb, each in (("assign", assign), ("retry", retry), ("edit", edit), ("ignore", ignore)):
        each.set_defaults(verb=verb)
    for each in (show, assign, retry, edit, ignore):
        each.add_argument("exception", help="its id")
    for each in (listing, show, assign, retry, edit, ignore):
        options(each)
    _bulk_commands(verbs, command, options)


def _bulk_commands(verbs: Any, command: Command, options: Options) -> None:
    bulks = add_group(verbs, "bulk", "one verb for many: plan, start, progress, cancel", metavar="STEP")
    plan = command(bulks, "plan", _bulk, "name what fits now; nothing is done before it is started")
    plan.add_argument("--do", choices=["retry", "ignore"], required=True, help="what is done with each")
    plan.add_argument("--reason", required=True, help="why: the audit trail keeps it")
    for name, shown, text in _FILTERS:
        plan.add_argument(name, metavar=shown, help=f"only these: {text}")
    for name in ("--from", "--before"):
        plan.add_argument(name, metavar="INSTANT", help="only what was raised then, as in 2026-11-22T10:00:00Z")
    listing = command(bulks, "list", _bulk, "plans and runs, with their progress")
    steps = {
        "show": "how far one is",
        "start": "have a worker run it, where it is not too large for one person",
        "approve": "have a worker run it, planned by somebody else",
        "cancel": "do no more of it",
    }
    made = {name: command(bulks, name, _bulk, text) for name, text in steps.items()}
    for each in made.values():
        each.add_argument("bulk", help="its id")
    for step, each in {"plan": plan, "list": listing, **made}.items():
        each.set_defaults(step=step)
        options(each)


def _list(given: argparse.Namespace) -> int:
    from gateway import attending  # noqa: PLC0415 - `--help` and the services load less

    filters = {
        "kind": given.kind, "error_class": vars(given)["class"], "fault_domain": given.fault_domain,
        "code": given.code, "about": given.about, "assignee": given.assignee, "state": given.state,
    }  # fmt: skip
    return attending.show_all(given.load(given), filters, limit=given.limit, as_json=given.json)


def _show(given: argparse.Namespace) -> int:
    from gateway import attending  # noqa: PLC0415

    return attending.show(given.load(given), given.exception, as_json=given.json)


def _decide(given: argparse.Namespace) -> int:
    from gateway import attending  # noqa: PLC0415

    named = {name: value for name, value in vars(given).items() if name in ("to", "payload", "version", "reason")}
    return attending.decide(given.load(given), given.verb, given.exception, named, as_json=given.json)


def _bulk(given: argparse.Namespace) -> int:
    from gateway import attending  # noqa: PLC0415

    known = vars(given)
    names = {"kind": "kind", "error_class": "class", "fault_domain": "fault_domain", "code": "code", "about": "about",
             "raised_from": "from", "raised_before": "before"}  # fmt: skip
    filters = {field: known.get(name) for field, name in names.items()}
    return attending.bulk(given.load(given), given.step, known, filters, as_json=given.json)
