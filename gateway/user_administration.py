"""What the command does about the console's people, with its answers for people or as JSON.

Each function returns the command's exit status. The audit trail names the account of the machine that asked.
"""

from __future__ import annotations

import asyncio
import sys

import msgspec

from gateway.app import administer
from gateway.canonical.capabilities import Connection
from gateway.identity.console_people import ORDERED_ROLES, People, Person
from gateway.kernel.keyring import KeyRing
from gateway.kernel.shell import account
from gateway.settings import Settings


def show_all(settings: Settings, *, as_json: bool) -> int:
    """Everybody, disabled ones last."""

    async def work(connection: Connection, _: KeyRing) -> list[Person]:
        return await _people(settings, connection).everybody(idle=settings.console.idle_seconds)

    found = asyncio.run(administer(settings, work))
    if as_json:
        return _print_json([{**msgspec.to_builtins(each), "roles": _in_order(each.roles)} for each in found])
    for each in found:
        seen = f"{each.signed_in_at:%Y-%m-%d %H:%M} UTC" if each.signed_in_at else "never"
        sys.stdout.write(f"{each.name:<24} {_state(each):<10} {' '.join(_in_order(each.roles)):<32} {seen}\n")
    return 0


def change(settings: Settings, verb: str, name: str, roles: frozenset[str], *, as_json: bool) -> int:
    """One change; `roles` matter to ``add`` and ``roles``."""

    async def work(connection: Connection, _: KeyRing) -> str | None:
        people = _people(settings, connection)
        if verb in ("add", "roles"):
            return await (people.add if verb == "add" else people.set_roles)(name, roles)
        asked = {
            "invite": people.invite,
            "disable": people.disable,
            "enable": people.enable,
            "sign-out": people.end_sessions,
        }
        return await asked[verb](name)

    token = asyncio.run(administer(settings, work))
    if as_json:
        return _print_json({"name": name, "done": verb, "token": token})
    if token is None:
        sys.stdout.write(f"{name}: {verb} is done; open sessions feel it at once\n")
    else:
        sys.stdout.write(f"Keep this now; it is not shown again. It signs {name} in once, within an hour.\n  {token}\n")
    return 0


def _people(settings: Settings, connection: Connection) -> People:
    return People(connection, tenant=settings.tenant, actor=f"cli/{account()}")


def _state(person: Person) -> str:
    if person.disabled_at:
        return "disabled"
    if person.issuer or person.has_password:
        return "active"
    return "invited" if person.invited_until else "no access"


def _in_order(roles: frozenset[str]) -> list[str]:
    return [role for role in ORDERED_ROLES if role in roles]


def _print_json(value: object) -> int:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    return 0
