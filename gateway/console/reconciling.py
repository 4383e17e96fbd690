"""The page of reconciliation: what differs and why, how it came to that, and who decides (role ``approve``)."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final, Literal, Protocol

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from gateway.console.access import actor_of, form_of, user_of
from gateway.console.answers import html, see_other, status_of
from gateway.console.charts import Sparkline, slots, sparkline
from gateway.console.forms import reason_in
from gateway.console.rendering import Pages
from gateway.identity.console_users import ConsoleUser
from gateway.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from gateway.kernel.ids import new_id

CLASSES: Final = ("timing", "mapping", "loss", "source_only")
STATES: Final = ("open", "adjusting", "accepted", "rejected", "adjusted", "explained")
_TONES: Final = {
    "open": "bad",
    "adjusting": "info",
    "accepted": "good",
    "rejected": "warn",
    "adjusted": "good",
    "running": "info",
    "done": "good",
    "failed": "bad",
    "explained": "quiet",
}
_ANY_STATE: Final = "any"
_APPROVE: Final = {"role": "approve"}
_SLOT_S: Final = 6 * 3_600
_SLOTS: Final = 28
_FINDINGS: Final = 100
_RUNS: Final = 10
_LONGEST: Final = 200


class Decides(Protocol):
    """Who takes decisions about findings; each writes its own audit entry."""

    def decide(
        self,
        tenant: str,
        finding: str,
        verdict: Literal["accept", "reject"],
        *,
        actor: str,
        reason: str,
        correlation_id: str,
    ) -> Awaitable[Any]:
        """Raises `NotFound`, `Conflict`, or `NotAllowed` where a second person is needed."""
        ...


class Reconciles(Protocol):
    """Reconciliation, as far as this page asks it."""

    @property
    def desk(self) -> Decides:
        """Where findings are decided."""
        ...

    def findings(
        self,
        tenant: str,
        *,
        cause: Any = None,
        state: Any = None,
        source: str | None = None,
        location: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> Awaitable[Sequence[Any]]:
        """The newest first."""
        ...

    def runs(self, tenant: str, *, what: Any, before: str | None, limit: int) -> Awaitable[Sequence[Any]]:
        """The newest first."""
        ...

    def trend(self, tenant: str, *, slot_seconds: int, slots: int) -> Awaitable[Sequence[Any]]:
        """How many findings of each class each slot of time raised, slot 0 being the latest."""
        ...


def reconciliation_routes(pages: Pages, reconciles: Reconciles, tenant: str) -> list[HTTPRouteHandler]:
    """Handlers of the page and of its decisions."""

    async def page(user: ConsoleUser, asked: Mapping[str, str], problem: Exception | None = None) -> Response[str]:
        wanted = _wanted(asked)
        state = wanted["state"]
        findings = await reconciles.findings(
            tenant,
            cause=wanted["class"],
            state=None if state == _ANY_STATE else state,
            source=wanted["source"],
            location=wanted["location"],
            before=wanted["before"],
            limit=_FINDINGS,
        )
        context = {
            "user": user,
            "findings": findings,
            "more": findings[-1].finding if len(findings) == _FINDINGS else None,
            "runs": await reconciles.runs(tenant, what=None, before=None, limit=_RUNS),
            "trends": _trends(await reconciles.trend(tenant, slot_seconds=_SLOT_S, slots=_SLOTS)),
            "days": _SLOT_S * _SLOTS // 86_400,
            "wanted": wanted,
            "classes": CLASSES,
            "states": (*STATES, _ANY_STATE),
            "tones": _TONES,
            "problem": getattr(problem, "detail", None),
        }
        return html(pages.render("reconciliation.html", context), 200 if problem is None else status_of(problem))

    @get("/reconciliation")
    async def show_reconciliation(request: Request[Any, Any, Any]) -> Response[str]:
        return await page(user_of(request), request.query_params)

    @post("/reconciliation/{finding:str}/{verdict:str}", opt=_APPROVE)
    async def decide(request: Request[Any, Any, Any], finding: FromPath[str], verdict: FromPath[str]) -> Response[Any]:
        user, form = user_of(request), form_of(request)
        try:
            await _decide(reconciles.desk, tenant, user, finding, verdict, reason_in(form))
        except (Conflict, Invalid, NotAllowed) as error:
            answer: Response[Any] = await page(user, {}, error)
            return answer
        return see_other("/reconciliation")

    return [show_reconciliation, decide]


async def _decide(desk: Decides, tenant: str, user: ConsoleUser, finding: str, verdict: str, reason: str) -> None:
    told: dict[str, Any] = {
        "actor": actor_of(user),
        "reason": reason,
        "correlation_id": new_id("req"),
    }
    if verdict == "accept":
        await desk.decide(tenant, finding, "accept", **told)
    elif verdict == "reject":
        await desk.decide(tenant, finding, "reject", **told)
    else:
        raise NotFound("a finding is accepted or rejected", code="console.verdict")


def _wanted(asked: Mapping[str, str]) -> dict[str, str | None]:
    """What the viewer asked for; what does not exist is left out."""

    def one_of(name: str, known: Sequence[str], otherwise: str | None = None) -> str | None:
        return asked[name] if asked.get(name) in known else otherwise

    def text(name: str) -> str | None:
        return "".join(letter for letter in asked.get(name, "") if letter.isprintable()).strip()[:_LONGEST] or None

    return {
        "class": one_of("class", CLASSES),
        "state": one_of("state", (*STATES, _ANY_STATE), "open"),
        "source": text("source"),
        "location": text("location"),
        "before": text("before"),
    }


def _trends(rows: Sequence[Mapping[str, Any]]) -> dict[str, Sparkline | None]:
    found: dict[str, Sparkline | None] = {}
    for name in CLASSES:
        counts = {-row["slot"]: row["number"] for row in rows if row["class"] == name}
        found[name] = sparkline(slots(counts, newest=0, oldest=1 - _SLOTS))
    return found
