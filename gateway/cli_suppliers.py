"""The command `crossdock supplier`: suppliers made known, brought through their onboarding, suspended."""

from __future__ import annotations

import argparse
from typing import Any

from gateway.cli_arguments import Command, Options, add_group


def add_supplier_commands(commands: Any, command: Command, options: Options) -> None:
    """Add them to `commands`; `command` makes one, `options` adds what every command on the record takes."""
    verbs = add_group(commands, "supplier", "suppliers and how far their onboarding is")
    listing = command(verbs, "list", _list, "all suppliers: what is missing of each, and its test order")
    show = command(verbs, "show", _show, "a supplier with the steps that are done and its test order")
    add = command(verbs, "add", _add, "make a supplier known; orders go out to it once its onboarding is through")
    add.add_argument("name", help="what people call it")
    change = command(verbs, "change", _change, "what more systems call it, or which partner speaks for it")
    for each in (add, change):
        text = "what an ERP calls it; repeatable"
        each.add_argument("--code", action="append", type=_code, default=[], metavar="SOURCE=CODE", help=text)
        each.add_argument("--partner", help="the partner that speaks for it: par_…")
    step = command(verbs, "step", _step, "note a step of its onboarding as done")
    sample = command(verbs, "test-order", _sample, "send it the order that it acknowledges last: no real one")
    suspend = command(verbs, "suspend", _suspend, "send it no new orders; what it has goes on")
    resume = command(verbs, "resume", _resume, "send it orders again")
    for each in (show, change, step, sample, suspend, resume):
        each.add_argument("supplier", help="its id: sup_…")
    step.add_argument("step", choices=("documents", "terms"), help="its papers were checked, or terms agreed")
    step.add_argument("--note", help="what is kept with it")
    for each in (suspend, resume):
        each.add_argument("--reason", required=True, help="why: the audit trail keeps it")
    for each in (listing, show, add, change, step, sample, suspend, resume):
        options(each)


def _code(text: str) -> tuple[str, str]:
    source, _, code = text.partition("=")
    if not source or not code:
        raise argparse.ArgumentTypeError("SOURCE=CODE, for example erp_na=SUP-17")
    return source, code


def _list(given: argparse.Namespace) -> int:
    from gateway import supplying  # noqa: PLC0415 - `--help` and the services load less

    return supplying.show_all(given.load(given), as_json=given.json)


def _show(given: argparse.Namespace) -> int:
    from gateway import supplying  # noqa: PLC0415

    return supplying.show(given.load(given), given.supplier, as_json=given.json)


def _add(given: argparse.Namespace) -> int:
    from gateway import supplying  # noqa: PLC0415

    settings, codes = given.load(given), dict(given.code)
    return supplying.add(settings, given.name, codes=codes, partner=given.partner, as_json=given.json)


def _change(given: argparse.Namespace) -> int:
    from gateway import supplying  # noqa: PLC0415

    settings, codes = given.load(given), dict(given.code)
    return supplying.change(settings, given.supplier, codes=codes, partner=given.partner, as_json=given.json)


def _step(given: argparse.Namespace) -> int:
    from gateway import supplying  # noqa: PLC0415

    return supplying.finish_step(given.load(given), given.supplier, given.step, note=given.note, as_json=given.json)


def _sample(given: argparse.Namespace) -> int:
    from gateway import supplying  # noqa: PLC0415

    return supplying.send_sample(given.load(given), given.supplier, as_json=given.json)


def _suspend(given: argparse.Namespace) -> int:
    from gateway import supplying  # noqa: PLC0415

    settings, reason = given.load(given), given.reason
    return supplying.suspend(settings, given.supplier, suspended=True, reason=reason, as_json=given.json)


def _resume(given: argparse.Namespace) -> int:
    from gateway import supplying  # noqa: PLC0415

    settings, reason = given.load(given), given.reason
    return supplying.suspend(settings, given.supplier, suspended=False, reason=reason, as_json=given.json)
