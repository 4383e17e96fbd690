"""Doing what a form asks of one thing, and coming back to its page; with what was wrong, where something was."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from litestar import Response

from gateway.console.access import caller_of
from gateway.console.answers import see_other
from gateway.identity.console_users import ConsoleUser
from gateway.kernel.clock import Clock
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict, NotAllowed, Rejected

_DEADLINE_S: Final = 20.0
Page = Callable[[ConsoleUser, str, Exception | None], Awaitable[Response[Any]]]
"""The page of the thing of that name, with the problem that a form on it met."""
Done = Callable[[ConsoleUser, str, Callable[[Caller], Awaitable[object]]], Awaitable[Response[Any]]]
"""Does the work of a form on the page of the thing of that name, as the caller that the user is."""


def coming_back(page: Page, root: str, tenant: str, clock: Clock) -> Done:
    """What handlers of forms answer with: ``<root>/<name>``, or `page` with what refused the work."""

    async def done(user: ConsoleUser, name: str, work: Callable[[Caller], Awaitable[object]]) -> Response[Any]:
        try:
            await work(caller_of(user, tenant, clock.monotonic() + _DEADLINE_S))
        except (Conflict, Rejected, NotAllowed) as error:
            return await page(user, name, error)
        return see_other(f"{root}/{name}")

    return done
