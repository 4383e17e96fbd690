"""The page of bulks: one verb for many exceptions, planned, begun by a second person where many, seen, cancelled."""

from collections.abc import Awaitable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from gateway.console.access import actor_of, caller_of, form_of, user_of
from gateway.console.answers import html, see_other, status_of
from gateway.console.queueing import AGES, CLASSES
from gateway.console.rendering import Pages
from gateway.identity.console_users import ConsoleUser
from gateway.kernel.clock import Clock
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict, CrossdockError, Invalid, NotAllowed

VERBS: Final = ("retry", "ignore")
_TONES: Final = {"planned": "warn", "running": "info", "done": "good", "cancelled": "quiet"}
_REPAIR: Final = {"role": "repair"}
_APPROVE: Final = {"role": "approve"}
_SHOWN: Final = 30
_LONGEST: Final = 200
_DEADLINE_S: Final = 20.0


class RunsBulks(Protocol):
    """Bulks, as far as this page asks them; each command writes its own audit entry."""

    def plan(self, caller: Caller, verb: Any, wanted: Any, *, reason: str) -> Awaitable[object]:
        """Raises `Invalid`."""
        ...

    def begin(self, caller: Caller, bulk: str, *, approving: bool = False) -> Awaitable[object]:
        """Raises `NotFound`, `Conflict`, or `NotAllowed` where a second person is needed."""
        ...

    def cancel(self, caller: Caller, bulk: str) -> Awaitable[object]:
        """Raises `NotFound` or `Conflict`."""
        ...

    def listed(self, tenant: str, *, before: str | None = None, limit: int = 50) -> Awaitable[Sequence[Any]]:
        """The newest first."""
        ...


class QueueWithBulks(Protocol):
    """The exceptions, as far as this page asks them."""

    @property
    def bulks(self) -> RunsBulks:
        """One verb for many."""
        ...

    @property
    def options(self) -> Any:
        """`alone`: the largest that one person may begin."""
        ...

    def wanted(self, **filters: Any) -> Any:
        """Raises `Invalid`."""
        ...


def bulk_routes(pages: Pages, queue: QueueWithBulks, tenant: str, clock: Clock) -> list[HTTPRouteHandler]:
    """Handlers of the page and of its buttons."""

    async def page(user: ConsoleUser, problem: CrossdockError | None = None) -> Response[str]:
        context = {
            "user": user,
            "me": actor_of(user),
            "bulks": await queue.bulks.listed(tenant, limit=_SHOWN),
            "alone": queue.options.alone,
            "choices": {"verb": VERBS, "class": CLASSES, "age": tuple(AGES)},
            "tones": _TONES,
            "problem": getattr(problem, "detail", None),
        }
        return html(pages.render("queue_bulks.html", context), 200 if problem is None else status_of(problem))

    async def done(user: ConsoleUser, work: Awaitable[object]) -> Response[Any]:
        try:
            await work
        except (Conflict, Invalid, NotAllowed) as error:
            answer: Response[Any] = await page(user, error)
            return answer
        return see_other("/queue-bulks")

    def caller(user: ConsoleUser) -> Caller:
        return caller_of(user, tenant, clock.monotonic() + _DEADLINE_S)

    @get("/queue-bulks")
    async def show_bulks(request: Request[Any, Any, Any]) -> Response[str]:
        return await page(user_of(request))

    @post("/queue-bulks", opt=_REPAIR)
    async def plan_bulk(request: Request[Any, Any, Any]) -> Response[Any]:
        user = user_of(request)
        return await done(user, _plan(queue, caller(user), form_of(request)))

    @post("/queue-bulks/{bulk:str}/start", opt=_REPAIR)
    async def start(request: Request[Any, Any, Any], bulk: FromPath[str]) -> Response[Any]:
        user = user_of(request)
        return await done(user, queue.bulks.begin(caller(user), bulk[:_LONGEST]))

    @post("/queue-bulks/{bulk:str}/cancel", opt=_REPAIR)
    async def cancel(request: Request[Any, Any, Any], bulk: FromPath[str]) -> Response[Any]:
        user = user_of(request)
        return await done(user, queue.bulks.cancel(caller(user), bulk[:_LONGEST]))

    @post("/queue-approvals/{bulk:str}", opt=_APPROVE)
    async def approve(request: Request[Any, Any, Any], bulk: FromPath[str]) -> Response[Any]:
        user = user_of(request)
        return await done(user, queue.bulks.begin(caller(user), bulk[:_LONGEST], approving=True))

    return [show_bulks, plan_bulk, start, cancel, approve]


async def _plan(queue: QueueWithBulks, caller: Caller, form: Mapping[str, str]) -> None:
    verb = form.get("verb", "")
    if verb not in VERBS:
        raise Invalid("choose what to do with them", code="console.verb")
    age = AGES.get(form.get("age", ""))
    wanted = queue.wanted(
        error_class=form.get("class") or None,
        fault_domain=form.get("fault_domain", "").strip()[:_LONGEST] or None,
        code=form.get("code", "").strip()[:_LONGEST] or None,
        raised_before=None if age is None else datetime.now(UTC) - timedelta(seconds=age),
    )
    await queue.bulks.plan(caller, verb, wanted, reason=form.get("reason", "")[:_LONGEST])
