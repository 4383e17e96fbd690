"""The command `crossdock user`: the console's people from the shell, where no administrator can be locked out."""

from __future__ import annotations

import argparse
from typing import Any

from gateway.cli_arguments import Command, Options, add_group


def add_user_commands(commands: Any, command: Command, options: Options) -> None:
    """Add them to `commands`; `command` makes one, `options` adds what all of them take."""
    verbs = add_group(commands, "user", "the console's people and their roles")
    listing = command(verbs, "list", _list, "everybody, with roles and last sign-in")
    add = command(verbs, "add", _change, "add a person; the one-time token to sign in with is shown once")
    invite = command(verbs, "invite", _change, "a new one-time token for a person who lost the password")
    roles = command(verbs, "roles", _change, "let a person have exactly these roles")
    disable = command(verbs, "disable", _change, "sign a person out everywhere and let them in no more")
    enable = command(verbs, "enable", _change, "let a disabled person in again")
    out = command(verbs, "sign-out", _change, "end all sessions of a person")
    changes = {"add": add, "invite": invite, "roles": roles, "disable": disable, "enable": enable, "sign-out": out}
    for verb, each in changes.items():
        each.add_argument("name", help="of the person, as they sign in")
        each.set_defaults(verb=verb, role=())
    for each in (add, roles):
        text = "repair, approve or administer; repeatable; everybody may view"
        each.add_argument("--role", action="append", default=[], choices=["view", "repair", "approve", "administer"],
                          help=text)  # fmt: skip
    for each in (listing, *changes.values()):
        options(each)


def _list(given: argparse.Namespace) -> int:
    from gateway import user_administration as administration  # noqa: PLC0415 - `--help` and the services load less

    return administration.show_all(given.load(given), as_json=given.json)


def _change(given: argparse.Namespace) -> int:
    from gateway import user_administration as administration  # noqa: PLC0415

    settings, roles = given.load(given), frozenset({"view", *given.role})
    return administration.change(settings, given.verb, given.name, roles, as_json=given.json)
