"""The commands `crossdock partner`, `client`, `key` and `plan`: what can be typed, and who does it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

from gateway.cli_arguments import Command, Options, add_group, number_from

_DAY: Final = 86_400


def add_partner_commands(commands: Any, command: Command, options: Options) -> None:
    """Add them to `commands`; `command` makes one, `options` adds what all of them take."""
    made = _partner(add_group(commands, "partner", "add, change, suspend and disable partners"), command)
    made += _client(
        add_group(commands, "client", "what clients may do, and what stands for their secrets"),
        command,
    )
    verbs = add_group(commands, "key", "rotate and revoke partners' API keys")
    rotate = command(verbs, "rotate", _rotate_key, "a new API key, shown once; the one before it ends a while later")
    rotate.add_argument("partner", help="its id: par_…")
    rotate.add_argument(
        "--overlap", type=number_from(0, 30 * _DAY), default=_DAY, help="seconds that the old key still holds (a day)"
    )
    revoke = command(verbs, "revoke", _revoke_key, "end an API key now")
    revoke.add_argument("key", help="its visible part, as `partner show` lists it")
    verbs = add_group(commands, "plan", "limits that partners can be on")
    listing = command(verbs, "list", _plan_list, "the plans of the record and of the settings")
    put = command(verbs, "set", _plan_set, "add a plan or replace its limits")
    put.add_argument("name", help="of the plan, as partners are put on it")
    put.add_argument("--file", type=Path, required=True, help="TOML as in the settings: [default] and [operations]")
    put.add_argument("--description", default="", help="what it is for")
    remove = command(verbs, "remove", _plan_remove, "remove a plan that nobody is on")
    remove.add_argument("name", help="of the plan, as `plan list` tells it")
    for each in (*made, rotate, revoke, listing, put, remove):
        options(each)


def _partner(verbs: Any, command: Command) -> list[argparse.ArgumentParser]:
    add = command(verbs, "add", _add, "add a partner; its credentials are shown once")
    add.add_argument("name", help="what people call it")
    add.add_argument("--channel", required=True, help="where it buys: a channel of the settings")
    add.add_argument("--plan", default="standard", help="its limits, see `crossdock plan list` (default standard)")
    add.add_argument("--account", action="append", default=[], help="a customer code it orders for; repeatable")
    text = "what it may do; repeatable (default: read items, availability, orders and returns, and write the last two)"
    add.add_argument("--scope", action="append", help=text)
    add.add_argument("--webhook-url", help="where its messages go: https, reachable from here")
    add.add_argument("--webhook-version", help="the API version its messages have (default: the newest)")
    version = command(verbs, "webhook-version", _webhook_version, "the API version its messages have")
    version.add_argument("partner", help="its id: par_…")
    version.add_argument("version", nargs="?", help="render them in this one from now on (v2); left out, tell")
    listing = command(verbs, "list", _list, "all partners")
    show = command(verbs, "show", _show, "a partner with its clients and keys")
    change = command(verbs, "change", _change, "move a partner to another channel, plan or set of accounts")
    change.add_argument("--channel", help="where it buys from now on: a channel of the settings")
    change.add_argument("--plan", help="its limits from now on, see `crossdock plan list`")
    change.add_argument("--account", action="append", help="a customer code, in place of all it has; repeatable")
    suspend = command(verbs, "suspend", _suspend, "refuse a partner's calls until it is resumed")
    suspend.add_argument("--reason", required=True, help="why: the audit trail keeps it")
    resume = command(verbs, "resume", _resume, "take a suspended partner's calls again")
    disable = command(verbs, "disable", _disable, "refuse everything of a partner from now on, for good")
    for each in (show, change, suspend, resume, disable):
        each.add_argument("partner", help="its id: par_…")
    return [add, listing, show, change, suspend, resume, disable, version]


def _client(verbs: Any, command: Command) -> list[argparse.ArgumentParser]:
    keys = command(verbs, "keys", _client_keys, "register public keys for private_key_jwt, in place of those before")
    keys.add_argument("client", help="its id: cli_…")
    keys.add_argument("--file", type=Path, required=True, help="a JWK set or one JWK, public keys only")
    certificates = command(
        verbs, "certificates", _client_certificates, "register certificates, in place of those before"
    )
    certificates.add_argument("client", help="its id: cli_…")
    text = "a name in a certificate that the proxy verified: dns:…, dn:…, uri:…, email:…, ip:…; repeatable"
    certificates.add_argument("--name", action="append", default=[], help=text)
    certificates.add_argument(
        "--file", type=Path, action="append", default=[], help="a certificate (PEM) that counts by itself; repeatable"
    )
    for each in (keys, certificates):
        each.add_argument("--keep-secrets", action="store_true", help="its client secrets hold beside it (they end)")
    scopes = command(verbs, "scopes", _client_scopes, "what it may do from now on; the tokens that it has end")
    scopes.add_argument("client", help="its id: cli_…")
    scopes.add_argument("--scope", action="append", required=True, help="in place of all it has; repeatable")
    return [keys, certificates, scopes]


def _add(given: argparse.Namespace) -> int:
    from gateway import partner_administration as administration  # noqa: PLC0415 - `--help` and the services load less

    asked = administration.NewPartner(
        name=given.name,
        channel=given.channel,
        plan=given.plan,
        accounts=tuple(given.account),
        scopes=None if given.scope is None else tuple(given.scope),
        webhook_url=given.webhook_url,
        webhook_version=given.webhook_version,
    )
    return administration.add(given.load(given), asked, as_json=given.json)


def _list(given: argparse.Namespace) -> int:
    from gateway import partner_administration as administration  # noqa: PLC0415

    return administration.show_all(given.load(given), as_json=given.json)


def _show(given: argparse.Namespace) -> int:
    from gateway import partner_administration as administration  # noqa: PLC0415

    return administration.show(given.load(given), given.partner, as_json=given.json)


def _change(given: argparse.Namespace) -> int:
    from gateway import partner_administration as administration  # noqa: PLC0415

    accounts = None if given.account is None else tuple(given.account)
    asked = administration.Changes(channel=given.channel, plan=given.plan, accounts=accounts)
    return administration.change(given.load(given), given.partner, asked, as_json=given.json)


def _suspend(given: argparse.Namespace) -> int:
    from gateway import partner_administration as administration  # noqa: PLC0415

    return administration.suspend(given.load(given), given.partner, given.reason, as_json=given.json)


def _resume(given: argparse.Namespace) -> int:
    from gateway import partner_administration as administration  # noqa: PLC0415

    return administration.resume(given.load(given), given.partner, as_json=given.json)


def _disable(given: argparse.Namespace) -> int:
    from gateway import partner_administration as administration  # noqa: PLC0415

    return administration.disable(given.load(given), given.partner, as_json=given.json)


def _client_keys(given: argparse.Namespace) -> int:
    from gateway import client_administration as administration  # noqa: PLC0415

    settings, keep = given.load(given), given.keep_secrets
    return administration.register_keys(settings, given.client, given.file, keep_secrets=keep, as_json=given.json)


def _client_certificates(given: argparse.Namespace) -> int:
    from gateway import client_administration as administration  # noqa: PLC0415

    return administration.register_certificates(
        given.load(given), given.client, given.name, given.file, keep_secrets=given.keep_secrets, as_json=given.json
    )


def _client_scopes(given: argparse.Namespace) -> int:
    from gateway import client_administration as administration  # noqa: PLC0415

    return administration.set_scopes(given.load(given), given.client, given.scope, as_json=given.json)


def _rotate_key(given: argparse.Namespace) -> int:
    from gateway import partner_administration as administration  # noqa: PLC0415

    return administration.rotate_key(given.load(given), given.partner, given.overlap, as_json=given.json)


def _revoke_key(given: argparse.Namespace) -> int:
    from gateway import partner_administration as administration  # noqa: PLC0415

    return administration.revoke_key(given.load(given), given.key, as_json=given.json)


def _plan_list(given: argparse.Namespace) -> int:
    from gateway import partner_administration as administration  # noqa: PLC0415

    return administration.show_plans(given.load(given), as_json=given.json)


def _plan_set(given: argparse.Namespace) -> int:
    from gateway import partner_administration as administration  # noqa: PLC0415

    return administration.set_plan(given.load(given), given.name, given.file, given.description, as_json=given.json)


def _plan_remove(given: argparse.Namespace) -> int:
    from gateway import partner_administration as administration  # noqa: PLC0415

    return administration.drop_plan(given.load(given), given.name, as_json=given.json)


def _webhook_version(given: argparse.Namespace) -> int:
    from gateway import governance  # noqa: PLC0415 - `--help` and the services load less

    settings = given.load(given)
    return governance.webhook_version(settings, given.partner, given.version, as_json=given.json)
