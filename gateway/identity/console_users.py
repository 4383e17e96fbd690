"""People of the console: a one-time bootstrap token, passwords (scrypt), sessions by opaque cookie.

Only digests of tokens and cookies are kept. Five wrong passwords lock a name for growing times, up to a quarter hour.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
from typing import Any, Final

from msgspec import Struct

from gateway.identity.credentials import random_text
from gateway.kernel.errors import Conflict, Invalid, NotAuthenticated, NotFound, Throttled
from gateway.kernel.ids import new_id
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside

ROLES: Final = frozenset({"view", "repair", "approve"})
ADMINISTRATOR: Final = "administrator"
_INVITED_FOR: Final = 3_600.0
_SHORTEST_PASSWORD: Final = 12
# RFC 7914 with one of OWASP's choices: 32 MiB and about 0.3 s a hash; at most two run at once.
_COST: Final = {"n": 2**15, "r": 8, "p": 3, "maxmem": 64 << 20, "dklen": 32}
_sql = queries_beside(__file__)


class ConsoleUser(Struct, frozen=True):
    """Who is signed in. Forms must carry `csrf_token`; without `has_password` the first page asks for one."""

    user_id: str
    name: str
    roles: frozenset[str]
    csrf_token: str
    has_password: bool

    def __repr__(self) -> str:
        return f"ConsoleUser({self.name}, {sorted(self.roles)})"


class ConsoleUsers:
    """Sign-in and sessions. Sessions end `lifetime` seconds after sign-in or `idle` seconds after the last page."""

    def __init__(self, store: Store, *, lifetime: float = 43_200, idle: float = 3_600) -> None:
        self._store = store
        self._lifetime = lifetime
        self._idle = idle
        self._hashing = asyncio.Semaphore(2)

    async def bootstrap_token(self) -> str | None:
        """A one-time token that signs the first administrator in, for an hour; None once anybody has a password."""
        async with self._store.transaction() as connection:
            if await connection.fetchval(_sql.any_console_user_with_password):
                return None
            await connection.execute(_sql.add_console_user, new_id("usr"), ADMINISTRATOR, None, sorted(ROLES))
            row = await connection.fetchrow(_sql.console_user_by_name, ADMINISTRATOR)
            if row is None:
                raise Conflict("the administrator is disabled: invite another user", code="console.disabled")
            return await self._invite(connection, row["user_id"])

    async def invite(self, name: str, roles: frozenset[str]) -> str:
        """Add a user; returns the one-time token to sign in with. Raises `Conflict` for a name in use."""
        if not roles <= ROLES or not roles:
            raise Invalid(f"roles are {', '.join(sorted(ROLES))}", code="console.roles")
        async with self._store.transaction() as connection:
            user_id = await connection.fetchval(_sql.add_console_user, new_id("usr"), name, None, sorted(roles))
            if user_id is None:
                raise Conflict(f"there is already a user {name}", code="console.user_exists")
            return await self._invite(connection, user_id)

    async def sign_in_with_token(self, token: str) -> str:
        """Use a one-time token; returns the session cookie's value. Raises `NotAuthenticated`."""
        async with self._store.transaction() as connection:
            row = await connection.fetchrow(_sql.use_console_invitation, _digest(token))
            if row is None:
                raise NotAuthenticated("this token is unknown, used or expired: ask for another", code="console.token")
            return await self._new_session(connection, row["user_id"])

    async def sign_in(self, name: str, password: str) -> str:
        """Returns the session cookie's value. Raises `NotAuthenticated`, or `Throttled` after too many failures."""
        row = await self._store.fetchrow(_sql.console_user_by_name, name)
        if row is not None and row["locked"]:
            raise Throttled("too many wrong passwords: wait a while", code="console.locked", retry_after=60)
        # An unknown name costs the same time as a wrong password.
        right = await self._matches(password, row["password"] if row is not None else None)
        if row is None or not right:
            if row is not None:
                await self._store.execute(_sql.console_sign_in_failed, row["user_id"])
            raise NotAuthenticated("name or password is wrong", code="console.password")
        async with self._store.transaction() as connection:
            await connection.execute(_sql.console_signed_in, row["user_id"])
            return await self._new_session(connection, row["user_id"])

    async def session(self, cookie: str) -> ConsoleUser | None:
        """Who the cookie stands for, or None when it is unknown, ended or idle for too long."""
        row = await self._store.fetchrow(_sql.console_session, _digest(cookie), float(self._idle))
        if row is None:
            return None
        return ConsoleUser(row["user_id"], row["name"], frozenset(row["roles"]), row["csrf_token"], row["has_password"])

    async def sign_out(self, cookie: str) -> None:
        """End this session."""
        await self._store.execute(_sql.end_console_session, _digest(cookie))

    async def set_password(self, user_id: str, password: str) -> str:
        """Set a password, end all sessions of the user, and return the cookie of a new one."""
        if len(password) < _SHORTEST_PASSWORD:
            raise Invalid(f"a password has at least {_SHORTEST_PASSWORD} characters", code="console.short_password")
        hashed = await self._hash(password)
        async with self._store.transaction() as connection:
            await connection.execute(_sql.set_console_password, user_id, hashed)
            await connection.execute(_sql.end_console_sessions, user_id)
            await connection.execute(_sql.drop_console_invitations, user_id)
            return await self._new_session(connection, user_id)

    async def disable(self, name: str) -> None:
        """Sign the user out everywhere, for good."""
        async with self._store.transaction() as connection:
            user_id = await connection.fetchval(_sql.disable_console_user, name)
            if user_id is None:
                raise NotFound(f"there is no user {name}", code="console.no_user")
            await connection.execute(_sql.end_console_sessions, user_id)

    async def _invite(self, connection: Any, user_id: str) -> str:
        token = random_text(25)
        await connection.execute(_sql.drop_console_invitations, user_id)
        await connection.execute(_sql.add_console_invitation, _digest(token), user_id, _INVITED_FOR)
        return token

    async def _new_session(self, connection: Any, user_id: str) -> str:
        cookie = random_text(25)
        await connection.execute(_sql.drop_expired_console_sessions)
        await connection.execute(
            _sql.add_console_session, _digest(cookie), user_id, random_text(20), float(self._lifetime)
        )
        return cookie

    async def _hash(self, password: str) -> str:
        salt = os.urandom(16)
        return ".".join(("scrypt15", _text(salt), _text(await self._scrypt(password, salt))))

    async def _matches(self, password: str, stored: str | None) -> bool:
        _, salt, expected = (stored or "scrypt15.AAAA.AAAA").split(".")
        derived = await self._scrypt(password, base64.b64decode(salt))
        return hmac.compare_digest(derived, base64.b64decode(expected)) and stored is not None

    async def _scrypt(self, password: str, salt: bytes) -> bytes:
        async with self._hashing:
            return await asyncio.to_thread(hashlib.scrypt, password.encode(), salt=salt, **_COST)


def _digest(token: str) -> bytes:
    """SHA-256 is enough for 200 random bits."""
    return hashlib.sha256(token.encode()).digest()


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
