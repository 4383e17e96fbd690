"""The page of workers: who runs, which release and shape, on what; turns that nobody runs; having one of them end.

What it shows and does is what `crossdock workers` shows and does (`gateway/durable/workers.py`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from gateway.console.access import actor_of, form_of, user_of
from gateway.console.answers import html, see_other, status_of, unchanged
from gateway.console.charts import bar
from gateway.console.rendering import Pages
from gateway.durable.workers import (
    ShapeLine,
    TurnLine,
    WorkerLine,
    drain,
    is_aside,
    list_shapes,
    list_turns,
    list_workers,
)
from gateway.identity.console_users import ConsoleUser
from gateway.kernel.errors import Conflict, CrossdockError, NotFound
from gateway.kernel.ids import new_id
from gateway.store.postgres import Store

_APPROVE: Final = {"role": "approve"}
_SHOWN: Final = 12
_LARGEST: Final = 2**31 - 1


class Staff(Struct, frozen=True, kw_only=True):
    """Workers by slot, the turns that each runs (the eldest of them), and the turns of each shape."""

    workers: Sequence[WorkerLine]
    turns: Mapping[int, Sequence[TurnLine]]
    shapes: Sequence[ShapeLine]


class WorkerDesk:
    """Reads who works, and asks one of them to end."""

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._tenant = tenant

    async def staff(self) -> Staff:
        """As it is now."""
        async with self._store.connection() as connection:
            return Staff(
                workers=await list_workers(connection),
                turns=await list_turns(connection, _SHOWN),
                shapes=await list_shapes(connection),
            )

    async def drain(self, slot: int, *, actor: str, known: datetime | None) -> None:
        """Have the worker that began at `known` end; raises as `gateway.durable.workers.drain` does."""
        async with self._store.transaction() as connection:
            await drain(connection, slot, tenant=self._tenant, actor=actor, correlation_id=new_id("req"), known=known)


def worker_routes(pages: Pages, desk: WorkerDesk) -> list[HTTPRouteHandler]:
    """Handlers of the page, of its panel, which fetches itself again, and of having a worker end."""

    async def panel(user: ConsoleUser, known: str | None) -> str | None:
        staff = await desk.staff()
        context = {
            "user": user,
            "workers": [_worker(line, staff) for line in staff.workers],
            "shapes": [_shape(line) for line in staff.shapes],
        }
        return pages.panel("workers", "/panels/workers", "panels/workers.html", context, known=known)

    async def confirm(user: ConsoleUser, slot: int, problem: CrossdockError | None = None) -> Response[str]:
        staff = await desk.staff()
        line = next((each for each in staff.workers if each.worker.slot == slot), None)
        if line is None:
            raise NotFound(f"no worker holds slot {slot} any more: look at the list", code="worker.not_found")
        context = {
            "user": user,
            **_worker(line, staff),
            "alike": sum(
                each.worker.shape == line.worker.shape and not each.worker.draining
                for each in staff.workers
                if each.worker.slot != slot
            ),
            "problem": None if problem is None else problem.detail,
        }
        return html(pages.render("worker_drain.html", context), 200 if problem is None else status_of(problem))

    @get("/workers")
    async def show_workers(request: Request[Any, Any, Any]) -> Response[str]:
        user = user_of(request)
        return html(pages.render("workers.html", {"user": user, "panel": await panel(user, None)}))

    @get("/panels/workers")
    async def show_workers_panel(request: Request[Any, Any, Any]) -> Response[Any]:
        fragment = await panel(user_of(request), request.query_params.get("digest"))
        return unchanged() if fragment is None else html(fragment)

    @get("/workers/{slot:int}/drain", opt=_APPROVE)
    async def ask_first(request: Request[Any, Any, Any], slot: FromPath[int]) -> Response[str]:
        return await confirm(user_of(request), _slot(slot))

    @post("/workers/{slot:int}/drain", opt=_APPROVE)
    async def drain_worker(request: Request[Any, Any, Any], slot: FromPath[int]) -> Response[Any]:
        user, number = user_of(request), _slot(slot)
        try:
            await desk.drain(number, actor=actor_of(user), known=_instant(form_of(request).get("since", "")))
        except Conflict as error:
            return await confirm(user, number, error)
        return see_other("/workers")

    return [show_workers, show_workers_panel, ask_first, drain_worker]


def _worker(line: WorkerLine, staff: Staff) -> dict[str, Any]:
    worker = line.worker
    aside = is_aside(worker, [each.worker for each in staff.workers])
    state = "draining" if worker.draining else "aside" if aside else "at_work"
    return {
        "it": worker,
        "state": state,
        "tone": {"draining": "warn", "aside": "quiet", "at_work": "good"}[state],
        "running": line.running,
        "turns": staff.turns.get(worker.slot, ()),
    }


def _shape(line: ShapeLine) -> dict[str, Any]:
    parts = [("running", line.running), ("waiting", line.waiting), ("delayed", line.delayed)]
    return {"it": line, "bar": bar(parts), "turns": line.running + line.waiting + line.delayed}


def _slot(number: int) -> int:
    if not 0 < number <= _LARGEST:
        raise NotFound("there is no such slot", code="worker.not_found")
    return number


def _instant(text: str) -> datetime:
    """Of which worker the form was; a slot changes hands."""
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise Conflict("this form is not of a worker: open it from the list again", code="worker.changed") from error
