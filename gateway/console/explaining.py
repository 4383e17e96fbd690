"""The page that tells why a request was answered as it was. What `gateway.explain` keeps holds no payload."""

from typing import Any, Final

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from gateway.console.access import user_of
from gateway.console.answers import from_htmx, html
from gateway.console.pages import text_of
from gateway.console.rendering import Pages
from gateway.explain.reading import Explanation, explain
from gateway.explain.record import Record
from gateway.kernel.clock import Clock
from gateway.kernel.errors import NotFound
from gateway.store.postgres import Store

_TONES: Final = {
    "passed": "good",
    "answered": "info",
    "observed": "warn",
    "refused": "bad",
    "failed": "bad",
    "not asked": "quiet",
}
_FIRST_ERROR: Final = 400
_FIRST_FAULT: Final = 500


def explain_routes(pages: Pages, store: Store, clock: Clock, tenant: str, *, hours: int) -> list[HTTPRouteHandler]:
    """Handlers of the page and of its answer, which htmx puts in place."""

    @get("/explain")
    async def show_explanation(request: Request[Any, Any, Any]) -> Response[str]:
        wanted = text_of(request.query_params, "request")
        found, trouble = None, ""
        if wanted is not None:
            try:
                async with store.connection() as connection:
                    found = await explain(connection, wanted, tenant=tenant, now=clock.now(), hours=hours)
            except NotFound as error:
                trouble = error.detail
        context = {"user": user_of(request), "wanted": wanted, "trouble": trouble, **_shown(found)}
        if from_htmx(request):
            return html(pages.render("details/explanation.html", context))
        return html(pages.render("explain.html", context))

    return [show_explanation]


def _shown(found: Explanation | None) -> dict[str, Any]:
    if found is None or found.record is None:
        return {"found": found, "steps": [], "tone": "quiet", "facts": []}
    steps = [
        {
            "policy": step.policy,
            "outcome": step.outcome,
            "us": step.microseconds,
            "at_most": step.at_most,
            "detail": step.detail,
            "tone": _TONES.get(step.outcome, "quiet"),
        }
        for step in found.steps
    ]
    return {"found": found, "steps": steps, "tone": _tone(found.record), "facts": _facts(found, found.record)}


def _tone(record: Record) -> str:
    if record.status >= _FIRST_FAULT:
        return "bad"
    return "warn" if record.status >= _FIRST_ERROR else "good"


def _facts(found: Explanation, record: Record) -> list[tuple[str, str]]:
    """Name and value of what stands beside the answer; what is empty is left out."""
    version = record.version
    if record.version_asked and record.version_asked != version:
        version = f"{version or 'none'}, asked for {record.version_asked}"
    facts = (
        ("asked", f"{record.method} {record.path}"),
        ("route", record.route),
        ("version", version),
        ("client", record.client or "unknown"),
        ("partner", record.partner),
        ("credential", record.credential),
        ("from", record.peer),
        ("idempotency", found.idempotency),
        ("limits told", ", ".join(f"{name}: {value}" for name, value in sorted(record.told.items()))),
        ("correlation", record.correlation_id),
        ("trace", record.trace_id),
        ("deadline", f"{record.deadline_ms / 1000:g} s, {record.took_us / 10 / max(record.deadline_ms, 1):.0f} % used"),
        ("configuration", f"version {record.configuration}"),
        ("worker", found.worker),
    )
    return [(name, value) for name, value in facts if value]
