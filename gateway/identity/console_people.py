"""Administration of the console's people: who there is, which roles, and out. Every change has its audit entry.

Everybody may view; ``repair``, ``approve`` and ``administer`` are given one by one. The last person who may administer
and can sign in stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from gateway.canonical.capabilities import Connection
from gateway.identity.console_users import ROLES, invite_again
from gateway.kernel.errors import Conflict, Invalid, NotFound
from gateway.kernel.ids import new_id
from gateway.store.audit import record_audit
from gateway.store.queries import queries_beside

ORDERED_ROLES: Final = ("view", "repair", "approve", "administer")
_LONGEST_NAME: Final = 80
_sql = queries_beside(__file__)


class Person(Struct, frozen=True, kw_only=True):
    """One of the console's people. `issuer` is the OpenID provider they sign in at, None for a password here."""

    name: str
    roles: frozenset[str]
    issuer: str | None
    has_password: bool
    created_at: datetime
    signed_in_at: datetime | None
    disabled_at: datetime | None
    invited_until: datetime | None
    sessions: int


class People:
    """Changes in the transaction of `connection`, by `actor` (as the audit trail names who asks)."""

    def __init__(self, connection: Connection, *, tenant: str, actor: str) -> None:
        self._connection = connection
        self._tenant = tenant
        self._actor = actor

    async def everybody(self, *, idle: float = 3_600) -> list[Person]:
        """All of them, disabled ones last. `idle`: seconds after which a session counts as ended."""
        rows = await self._connection.fetch(_sql.console_people, float(idle))
        names = set(Person.__struct_fields__)
        return [
            Person(**{k: v for k, v in dict(row).items() if k in names} | {"roles": frozenset(row["roles"])})
            for row in rows
        ]

    async def add(self, name: str, roles: frozenset[str]) -> str:
        """Add a person; returns the one-time token to sign in with. Raises `Conflict` for a name in use."""
        checked = _checked_roles(roles)
        if not name.isprintable() or name != name.strip() or not 1 <= len(name) <= _LONGEST_NAME:
            raise Invalid(f"a name has 1 to {_LONGEST_NAME} printable characters", code="console.name")
        user_id = await self._connection.fetchval(_sql.add_console_user, new_id("usr"), name, None, sorted(checked))
        if user_id is None:
            raise Conflict(f"there is already a user {name}", code="console.user_exists")
        await self._audit("console.user_add", name, {"roles": sorted(checked)})
        return await invite_again(self._connection, user_id)

    async def invite(self, name: str) -> str:
        """A new one-time token for somebody who has lost the password; sessions end when they set a new one."""
        row = await self._found(name)
        if row["issuer"] is not None:
            raise Conflict(f"{name} signs in at {row['issuer']}: no token is needed", code="console.outside")
        if row["disabled"]:
            raise Conflict(f"{name} is disabled: enable them first", code="console.disabled")
        await self._audit("console.user_invite", name)
        return await invite_again(self._connection, row["user_id"])

    async def set_roles(self, name: str, roles: frozenset[str]) -> None:
        """Have exactly these roles from now on, in open sessions too."""
        checked = _checked_roles(roles)
        await self._connection.execute(_sql.lock_console_people)
        row = await self._found(name)
        if row["issuer"] is not None:
            raise Conflict(
                f"the roles of {name} come from {row['issuer']}: change their groups there", code="console.outside"
            )
        if "administer" not in checked:
            await self._keep_an_administrator(row)
        await self._connection.execute(_sql.set_console_roles, row["user_id"], sorted(checked))
        await self._audit("console.user_roles", name, {"before": sorted(row["roles"]), "after": sorted(checked)})

    async def disable(self, name: str) -> None:
        """Signed out everywhere, and not let in again until enabled."""
        await self._connection.execute(_sql.lock_console_people)
        row = await self._found(name)
        await self._keep_an_administrator(row)
        await self._connection.execute(_sql.disable_console_user, row["user_id"])
        await self._end(row["user_id"])
        await self._connection.execute(_sql.drop_console_invitations, row["user_id"])
        await self._audit("console.user_disable", name)

    async def enable(self, name: str) -> str | None:
        """Let in again; returns a one-time token, because the old password is gone; None for outside people."""
        row = await self._found(name)
        if not row["disabled"]:
            raise Conflict(f"{name} is not disabled", code="console.enabled")
        await self._connection.execute(_sql.enable_console_user, row["user_id"])
        await self._end(row["user_id"])
        await self._audit("console.user_enable", name)
        return None if row["issuer"] is not None else await invite_again(self._connection, row["user_id"])

    async def end_sessions(self, name: str) -> None:
        """Signed out everywhere; may sign in again. Browsers that were known are known no more."""
        row = await self._found(name)
        await self._end(row["user_id"])
        await self._audit("console.user_sign_out", name)

    async def _end(self, user_id: str) -> None:
        await self._connection.execute(_sql.end_console_sessions, user_id)
        await self._connection.execute(_sql.drop_console_browsers, user_id)

    async def _found(self, name: str) -> Any:
        row = await self._connection.fetchrow(_sql.console_person, name)
        if row is None:
            raise NotFound(f"there is no user {name}", code="console.no_user")
        return row

    async def _keep_an_administrator(self, row: Any) -> None:
        if "administer" not in row["roles"] or row["disabled"]:
            return
        if not await self._connection.fetchval(_sql.other_console_administrators, row["user_id"]):
            raise Conflict(
                "nobody else can administer: give somebody the role administer, and let them sign in, first",
                code="console.last_administrator",
            )

    async def _audit(self, action: str, name: str, detail: Mapping[str, Any] | None = None) -> None:
        await record_audit(
            self._connection,
            tenant=self._tenant,
            actor=self._actor,
            action=action,
            subject=name,
            outcome="done",
            correlation_id=new_id("req"),
            detail=detail,
        )


def _checked_roles(roles: frozenset[str]) -> frozenset[str]:
    if not roles <= ROLES or not roles:
        raise Invalid(f"roles are {', '.join(ORDERED_ROLES)}", code="console.roles")
    return roles | {"view"}
