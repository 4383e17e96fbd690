"""The queue of exceptions: what stands still, the most urgent first, and what people do about it."""

from collections.abc import Awaitable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import msgspec
from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from gateway.canonical.trouble import TroubleClass
from gateway.console.access import actor_of, caller_of, form_of, user_of
from gateway.console.answers import html, see_other, status_of
from gateway.console.redaction import MASK, redacted
from gateway.console.rendering import Pages
from gateway.identity.console_users import ConsoleUser
from gateway.kernel.clock import Clock
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict, CrossdockError, Invalid, NotAllowed, NotFound

CLASSES: Final = tuple(each.value for each in TroubleClass)
STATES: Final = ("open", "assigned", "retrying", "resolved", "ignored")
AGES: Final = {"15 min": 900, "1 h": 3_600, "1 day": 86_400}
IMPACTS: Final = {"orders stop": 70, "stock oversells": 90}
_TONES: Final = {"open": "bad", "assigned": "warn", "retrying": "info", "resolved": "good", "ignored": "quiet"}
_REPAIR: Final = {"role": "repair"}
_APPROVE: Final = {"role": "approve"}
_SHOWN: Final = 100
_LONGEST: Final = 200
_DEADLINE_S: Final = 20.0


class QueuesTroubles(Protocol):
    """The exceptions, as far as the pages ask them; each verb writes its own history and audit entry."""

    @property
    def bulks(self) -> Any:
        """One verb for many: `gateway.console.bulks`."""
        ...

    @property
    def options(self) -> Any:
        """What the operator decided."""
        ...

    def wanted(self, **filters: Any) -> Any:
        """What `listed` takes."""
        ...

    def listed(self, tenant: str, wanted: Any, *, limit: int) -> Awaitable[Sequence[Any]]:
        """The most urgent first."""
        ...

    def tallies(self, tenant: str) -> Awaitable[Sequence[Any]]:
        """What is not over, by class and fault domain."""
        ...

    def get(self, tenant: str, entry: str) -> Awaitable[Any]:
        """Raises `NotFound`."""
        ...

    def history(self, entry: Any) -> Awaitable[Sequence[Any]]:
        """Oldest first."""
        ...

    def payload(self, entry: Any) -> Awaitable[Mapping[str, Any] | None]:
        """What stands still, as it is."""
        ...

    def assign(self, caller: Caller, entry: str, to: str | None) -> Awaitable[object]:
        """Raises `NotFound` or `Conflict`."""
        ...

    def retry(self, caller: Caller, entry: str) -> Awaitable[object]:
        """Raises `NotFound` or `Conflict`."""
        ...

    def edit(
        self, caller: Caller, entry: str, payload: Mapping[str, Any], *, reason: str, version: int
    ) -> Awaitable[object]:
        """Raises `NotFound`, `Conflict` or `Invalid`."""
        ...

    def ignore(self, caller: Caller, entry: str, *, reason: str) -> Awaitable[object]:
        """Raises `NotFound` or `Conflict`."""
        ...


def queue_routes(pages: Pages, queue: QueuesTroubles, tenant: str, clock: Clock) -> list[HTTPRouteHandler]:
    """Handlers of the list, of one entry and of the verbs."""

    async def shown(user: ConsoleUser, entry: str, problem: CrossdockError | None = None) -> Response[str]:
        known = await queue.get(tenant, entry[:_LONGEST])
        payload = await queue.payload(known)
        context = {
            "user": user,
            "me": actor_of(user),
            "each": known,
            "history": await queue.history(known),
            "payload": None if payload is None else _pretty(redacted(payload)),
            "whole": payload is not None and put_back(redacted(payload), payload) == payload,
            "tones": _TONES,
            "problem": getattr(problem, "detail", None),
        }
        return html(pages.render("queue_entry.html", context), 200 if problem is None else status_of(problem))

    async def done(user: ConsoleUser, entry: str, verb: str, form: Mapping[str, str]) -> Response[Any]:
        caller = caller_of(user, tenant, clock.monotonic() + _DEADLINE_S)
        try:
            await _decide(queue, caller, entry[:_LONGEST], verb, form)
        except (Conflict, Invalid, NotAllowed) as error:
            answer: Response[Any] = await shown(user, entry, error)
            return answer
        return see_other(f"/queue/{entry}")

    @get("/queue")
    async def show_queue(request: Request[Any, Any, Any]) -> Response[str]:
        user, wanted = user_of(request), _wanted(request.query_params)
        age = AGES.get(wanted["age"] or "")
        filters = {
            "state": wanted["state"],
            "error_class": wanted["class"],
            "fault_domain": wanted["fault_domain"],
            "assignee": actor_of(user) if wanted["assignee"] == "mine" else "" if wanted["assignee"] else None,
            "least_rank": IMPACTS.get(wanted["impact"] or ""),
            "raised_before": None if age is None else datetime.now(UTC) - timedelta(seconds=age),
        }
        tallies = await queue.tallies(tenant)
        context = {
            "user": user,
            "me": actor_of(user),
            "entries": await queue.listed(tenant, queue.wanted(**filters), limit=_SHOWN),
            "many": _SHOWN,
            "by_class": {name: _sum(tallies, name) for name in CLASSES},
            "domains": sorted({row["fault_domain"] for row in tallies}),
            "wanted": wanted,
            "choices": {"class": CLASSES, "state": STATES, "impact": IMPACTS, "age": AGES,
                        "assignee": ("mine", "nobody")},
            "tones": _TONES,
        }  # fmt: skip
        return html(pages.render("queue.html", context))

    @get("/queue/{entry:str}")
    async def show_entry(request: Request[Any, Any, Any], entry: FromPath[str]) -> Response[str]:
        return await shown(user_of(request), entry)

    @post("/queue/{entry:str}/{verb:str}", opt=_REPAIR)
    async def decide(request: Request[Any, Any, Any], entry: FromPath[str], verb: FromPath[str]) -> Response[Any]:
        return await done(user_of(request), entry, verb, form_of(request))

    @post("/queue-revisions/{entry:str}", opt=_APPROVE)
    async def revise(request: Request[Any, Any, Any], entry: FromPath[str]) -> Response[Any]:
        return await done(user_of(request), entry, "revise", form_of(request))

    return [show_queue, show_entry, decide, revise]


async def _decide(queue: QueuesTroubles, caller: Caller, entry: str, verb: str, form: Mapping[str, str]) -> None:
    reason = form.get("reason", "").strip()[:_LONGEST]
    if verb == "retry":
        await queue.retry(caller, entry)
    elif verb == "ignore":
        await queue.ignore(caller, entry, reason=reason)
    elif verb == "take":
        await queue.assign(caller, entry, caller.principal.subject)
    elif verb == "assign":
        await queue.assign(caller, entry, form.get("to", "").strip()[:100] or None)
    elif verb == "revise":
        known = await queue.get(caller.tenant, entry)
        original = await queue.payload(known) or {}
        after = put_back(_typed(form.get("payload", "")), original)
        version = form.get("version", "")
        await queue.edit(caller, entry, after, reason=reason, version=int(version) if version.isdecimal() else 0)
    else:
        raise NotFound("an exception is assigned, retried, edited or ignored", code="console.verb")


def put_back(shown: Any, original: Any) -> Any:
    """`shown` with what stands in `original` wherever it is masked: who edits need not see what stays."""
    if shown == MASK:
        return original
    if isinstance(shown, dict) and isinstance(original, Mapping):
        return {name: put_back(part, original.get(name, part)) for name, part in shown.items()}
    if isinstance(shown, list) and isinstance(original, Sequence) and len(shown) == len(original):
        return [put_back(part, other) for part, other in zip(shown, original, strict=True)]
    return shown


def _typed(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text.encode(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise Invalid(f"this is no JSON object: {error}", code="console.payload") from error


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _sum(tallies: Sequence[Any], name: str) -> dict[str, Any]:
    found = [row for row in tallies if row["error_class"] == name]
    return {"number": sum(row["number"] for row in found), "oldest": max((row["oldest"] for row in found), default=0)}


def _wanted(asked: Mapping[str, str]) -> dict[str, str | None]:
    """What the viewer asked for; what does not exist is left out."""

    def one_of(name: str, known: Sequence[str] | Mapping[str, int]) -> str | None:
        return asked[name] if asked.get(name) in known else None

    domain = "".join(letter for letter in asked.get("fault_domain", "") if letter.isprintable()).strip()[:_LONGEST]
    return {
        "state": one_of("state", STATES),
        "class": one_of("class", CLASSES),
        "impact": one_of("impact", IMPACTS),
        "age": one_of("age", AGES),
        "assignee": one_of("assignee", ("mine", "nobody")),
        "fault_domain": domain or None,
    }
