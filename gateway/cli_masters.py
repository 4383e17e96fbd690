"""The commands `crossdock master`: whose word counts in master data, and the lists that systems have of it."""

from __future__ import annotations

import argparse
from typing import Any, Final

from gateway.cli_arguments import COUNT, Command, Options, add_group

_KINDS: Final = ("items", "locations", "customers")
_LISTED: Final = ("items", "customers")


def add_master_commands(commands: Any, command: Command, options: Options) -> None:
    """Add them to `commands`; `command` makes one, `options` adds what every command on the record takes."""
    verbs = add_group(commands, "master", "master data: who owns what, where a value comes from, systems' lists")
    owners = command(verbs, "owners", _owners, "who publishes, enriches, validates and consumes each attribute")
    show = command(verbs, "show", _show, "of one record whose word each value is, and what the others say")
    own = command(verbs, "own", _own, "let somebody else own an attribute; what counts of every record follows at once")
    for each in (owners, show, own):
        each.add_argument("kind", choices=_KINDS, help="of which records")
        options(each)
    show.add_argument("name", help="a SKU, a location, the number of a customer")
    own.add_argument("attribute", help="one of those that `crossdock master owners` tells")
    own.add_argument("--publishes", type=_names, help="whose value counts, best first, by commas; * is any other")
    own.add_argument("--enriches", type=_names, help="who may fill in what no publisher says, best first")
    own.add_argument("--validates", type=_names, help="who decides nothing, but marks a value as disputed")
    own.add_argument("--consumes", type=_names, help="who lives by the value")
    own.add_argument("--reason", required=True, help="why: kept with the change and in the audit trail")
    own.add_argument("--seen", type=COUNT, metavar="VERSION", help="refuse when it changed since this version")

    read = command(verbs, "read", _read, "read systems' own lists now; exits 1 when something is refused")
    read.add_argument("kind", choices=_LISTED, help="of which records")
    read.add_argument("--source", help="only the list of this system")
    read.add_argument("--whole", action="store_true", help="the whole list, not only what changed (of items always)")
    refused = command(
        verbs, "refused", _refused, "what of systems' lists is not taken and why; exits 1 when there is any"
    )
    refused.add_argument("kind", choices=_LISTED, help="of which records")
    refused.add_argument("--source", help="only of this system")
    for each in (read, refused):
        options(each)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _owners(given: argparse.Namespace) -> int:
    from gateway import mastering  # noqa: PLC0415 - `--help` and the services load less

    return mastering.owners(given.load(given), given.kind, as_json=given.json)


def _show(given: argparse.Namespace) -> int:
    from gateway import mastering  # noqa: PLC0415

    return mastering.show(given.load(given), given.kind, given.name, as_json=given.json)


def _own(given: argparse.Namespace) -> int:
    from gateway import mastering  # noqa: PLC0415

    wanted = {name: getattr(given, name) for name in ("publishes", "enriches", "validates", "consumes")}
    asked = mastering.Owning(
        kind=given.kind,
        attribute=given.attribute,
        owners={name: names for name, names in wanted.items() if names is not None},
        reason=given.reason,
        seen=given.seen,
    )
    return mastering.own(given.load(given), asked, as_json=given.json)


def _read(given: argparse.Namespace) -> int:
    from gateway import mastering  # noqa: PLC0415

    return mastering.read(given.load(given), given.kind, source=given.source, whole=given.whole, as_json=given.json)


def _refused(given: argparse.Namespace) -> int:
    from gateway import mastering  # noqa: PLC0415

    return mastering.refused(given.load(given), given.kind, source=given.source, as_json=given.json)
