"""Sign-in of the console's people: one-time tokens, passwords, an OpenID provider's word; sessions by opaque cookie.

Only digests of tokens and cookies are kept. Who may sign in at all is `gateway/identity/console_people.py`.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from msgspec import Struct

from gateway.identity.credentials import random_text
from gateway.identity.passwords import Passwords
from gateway.identity.sign_in_attempts import SignInAttempts, browser_digest
from gateway.kernel.errors import Conflict, Invalid, NotAllowed, NotAuthenticated
from gateway.kernel.ids import new_id
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside

ROLES: Final = frozenset({"view", "repair", "approve", "administer"})
ADMINISTRATOR: Final = "administrator"
BROWSER_KNOWN_FOR: Final = 180 * 86_400
_INVITED_FOR: Final = 3_600.0
_SHORTEST_PASSWORD: Final = 12
_sql = queries_beside(__file__)


class SessionTimes(Struct, frozen=True, kw_only=True):
    """When sessions end: so many seconds after sign-in, and so many after the last page."""

    lifetime_seconds: float = 43_200.0
    idle_seconds: float = 3_600.0


class ConsoleUser(Struct, frozen=True):
    """Who is signed in. Forms must carry `csrf_token`; without `has_password` the first page asks for one.

    An `outside` user signs in at the OpenID provider and has no password here.
    """

    user_id: str
    name: str
    roles: frozenset[str]
    csrf_token: str
    has_password: bool
    outside: bool = False

    @property
    def may_enter(self) -> bool:
        """Whether nothing has to be chosen before the first page."""
        return self.has_password or self.outside

    def __repr__(self) -> str:
        return f"ConsoleUser({self.name}, {sorted(self.roles)})"


class OutsidePerson(Struct, frozen=True, kw_only=True):
    """Whom the OpenID provider vouches for: `subject` is its own lasting name, `name` what people call them."""

    issuer: str
    subject: str
    name: str
    roles: frozenset[str]


class ConsoleUsers:
    """Sign-in and sessions. Sessions end `lifetime` seconds after sign-in or `idle` seconds after the last page."""

    def __init__(
        self, store: Store, *, lifetime: float = 43_200, idle: float = 3_600, passwords: Passwords | None = None
    ) -> None:
        self._store = store
        self._lifetime = lifetime
        self._idle = idle
        self._passwords = passwords or Passwords()
        self._attempts = SignInAttempts(store)

    async def bootstrap_token(self) -> str | None:
        """A one-time token that signs the first administrator in, for an hour; None once anybody else can."""
        async with self._store.transaction() as connection:
            if await connection.fetchval(_sql.any_console_administrator):
                return None
            await connection.execute(_sql.add_console_user, new_id("usr"), ADMINISTRATOR, None, sorted(ROLES))
            row = await connection.fetchrow(_sql.console_user_by_name, ADMINISTRATOR)
            if row is None:
                raise Conflict("the administrator is disabled: invite another user", code="console.disabled")
            return await invite_again(connection, row["user_id"])

    async def sign_in_with_token(self, token: str) -> str:
        """Use a one-time token; returns the session cookie's value. A password of before ends with it.

        Raises `NotAuthenticated`.
        """
        async with self._store.transaction() as connection:
            row = await connection.fetchrow(_sql.use_console_invitation, _digest(token))
            if row is None:
                raise NotAuthenticated("this token is unknown, used or expired: ask for another", code="console.token")
            await connection.execute(_sql.forget_console_password, row["user_id"])
            return await self._new_session(connection, row["user_id"])

    async def sign_in(self, name: str, password: str, *, address: str = "", browser: str | None = None) -> str:
        """Returns the session cookie's value. Raises `NotAuthenticated`, or `Throttled` after too many failures.

        `address` is where the guess comes from, `browser` the cookie of one that signed in before.
        """
        attempt = await self._attempts.begin(name, address, browser)
        row = await self._store.fetchrow(_sql.console_user_by_name, name)
        kept = None if row is None else row["password"]
        checked = await self._passwords.check(password, kept)
        if row is None or not checked.right:
            raise NotAuthenticated("name or password is wrong", code="console.password")
        await attempt.succeeded()
        async with self._store.transaction() as connection:
            if checked.renewed is not None:
                await connection.execute(_sql.rehash_console_password, row["user_id"], checked.renewed, kept)
            return await self._new_session(connection, row["user_id"])

    async def sign_in_from_outside(self, person: OutsidePerson) -> str:
        """Returns the session cookie's value for whom the provider vouches, with the roles they have there now.

        The audit trail knows a person by the name of the first sign-in, which nobody else has: not a person of ours
        either. Raises `NotAllowed` for a disabled one.
        """
        roles = sorted(person.roles)
        async with self._store.transaction() as connection:
            row = await connection.fetchrow(_sql.outside_console_user, person.issuer, person.subject)
            if row is None:
                user_id = await self._add_outside(connection, person)
            elif row["disabled"]:
                raise NotAllowed("this user is disabled here: ask an administrator", code="console.disabled")
            else:
                user_id = row["user_id"]
                await connection.execute(_sql.renew_outside_console_user, user_id, roles)
            return await self._new_session(connection, user_id)

    async def session(self, cookie: str) -> ConsoleUser | None:
        """Who the cookie stands for, or None when it is unknown, ended or idle for too long."""
        row = await self._store.fetchrow(_sql.console_session, _digest(cookie), float(self._idle))
        if row is None:
            return None
        return ConsoleUser(
            row["user_id"],
            row["name"],
            frozenset(row["roles"]),
            row["csrf_token"],
            row["has_password"],
            row["outside"],
        )

    async def sign_out(self, cookie: str) -> None:
        """End this session."""
        await self._store.execute(_sql.end_console_session, _digest(cookie))

    async def set_password(self, user_id: str, password: str) -> str:
        """Set a password, end all sessions of the user, and return the cookie of a new one."""
        if len(password) < _SHORTEST_PASSWORD:
            raise Invalid(f"a password has at least {_SHORTEST_PASSWORD} characters", code="console.short_password")
        kept = await self._passwords.make(password)
        async with self._store.transaction() as connection:
            if await connection.fetchval(_sql.set_console_password, user_id, kept) is None:
                raise NotAllowed("this user has no password here", code="console.no_password")
            await connection.execute(_sql.end_console_sessions, user_id)
            await connection.execute(_sql.drop_console_invitations, user_id)
            await connection.execute(_sql.drop_console_browsers, user_id)
            return await self._new_session(connection, user_id)

    async def remember_browser(self, session: str, present: str | None) -> str | None:
        """A cookie for the browser of this session, so that others' wrong guesses do not lock it out.

        None when `present`, the one it has, is still good, and for people who have no password to guess.
        """
        user = await self.session(session)
        if user is None or not user.has_password or await self._attempts.knows(user.name, present):
            return None
        browser = random_text(25)
        lasting = float(BROWSER_KNOWN_FOR)
        await self._store.execute(_sql.add_console_browser, browser_digest(browser), user.user_id, lasting)
        return browser

    async def _add_outside(self, connection: Any, person: OutsidePerson) -> str:
        user_id = new_id("usr")
        for name in (person.name, f"{person.name} ({person.subject})", user_id):
            given = (user_id, name, sorted(person.roles), person.issuer, person.subject)
            if await connection.fetchval(_sql.add_outside_console_user, *given) is not None:
                return user_id
        raise Conflict("this name is taken in every form", code="console.user_exists")

    async def _new_session(self, connection: Any, user_id: str) -> str:
        cookie = random_text(25)
        await connection.execute(_sql.drop_expired_console_sessions)
        await connection.execute(_sql.drop_old_console_attempts)
        await connection.execute(_sql.console_signed_in, user_id)
        await connection.execute(
            _sql.add_console_session, _digest(cookie), user_id, random_text(20), float(self._lifetime)
        )
        return cookie


async def invite_again(connection: Any, user_id: str) -> str:
    """A one-time token to sign in with, for an hour; the one before it ends."""
    token = random_text(25)
    await connection.execute(_sql.drop_console_invitations, user_id)
    await connection.execute(_sql.add_console_invitation, _digest(token), user_id, _INVITED_FOR)
    return token


def _digest(token: str) -> bytes:
    """SHA-256 is enough for 200 random bits."""
    return hashlib.sha256(token.encode()).digest()
