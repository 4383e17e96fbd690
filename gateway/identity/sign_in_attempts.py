"""Guesses at passwords, slowed down without shutting their owner out.

Five guesses at one name from one address lock that name *for that address*, for growing times up to a quarter hour;
fifty from one address lock the address. A browser that has signed in before is counted by itself (a cookie it keeps,
"device cookies" of OWASP), so that neither strangers at the same address nor a guesser elsewhere lock it out. A name
that does not exist is treated like one that does.
"""

from __future__ import annotations

import hashlib
from typing import Final

from gateway.kernel.errors import Throttled
from gateway.store.postgres import Store
from gateway.store.queries import queries_beside

_AT_A_NAME: Final = 5
_AT_AN_ADDRESS: Final = 50
_sql = queries_beside(__file__)


class Attempt:
    """One guess that was admitted; `succeeded` takes it back."""

    def __init__(self, store: Store, own: bytes, address: bytes | None) -> None:
        self._store = store
        self._own = own
        self._address = address

    async def succeeded(self) -> None:
        """The password was right: nothing is held against this guesser, and this guess not against its address."""
        await self._store.execute(_sql.forget_console_attempts, [self._own])
        if self._address is not None:
            await self._store.execute(_sql.forgive_console_attempt, self._address)


class SignInAttempts:
    """Admits guesses, in the record, so that a restart forgives nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def begin(self, name: str, address: str, browser: str | None) -> Attempt:
        """Count a guess at `name`. `browser`: the cookie of one that signed in before. Raises `Throttled`."""
        if await self.knows(name, browser):
            own, shared = _digest("name and browser", name, browser or ""), None
        else:
            own, shared = _digest("name and address", name, address), _digest("address", address)
        if shared is not None:
            await self._count(shared, _AT_AN_ADDRESS)
        await self._count(own, _AT_A_NAME)
        return Attempt(self._store, own, shared)

    async def knows(self, name: str, browser: str | None) -> bool:
        """Whether `browser` is the cookie of one in which `name` signed in before."""
        if not browser:
            return False
        known: bool = await self._store.fetchval(_sql.known_console_browser, browser_digest(browser), name)
        return known

    async def _count(self, guesser: bytes, most: int) -> None:
        if await self._store.fetchval(_sql.begin_console_attempt, guesser, most) is None:
            left = await self._store.fetchval(_sql.console_attempt_locked_for, guesser)
            raise Throttled(
                f"too many wrong passwords from here: wait {max(left or 1, 1)} seconds",
                code="console.locked",
                retry_after=max(left or 1, 1),
            )


def browser_digest(cookie: str) -> bytes:
    """What is kept of a known browser's cookie."""
    return _digest("browser", cookie)


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()
