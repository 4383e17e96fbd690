"""Snapshots in parts for whoever tells or watches them: which have all of theirs, which are applied."""

from datetime import datetime
from typing import Annotated, Any, Literal

from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from msgspec import Struct

from gateway.kernel.exchange import caller_of
from process_apis.availability.process import Availability

_API = {"zone": "process", "tenant_aware": True, "api": "availability", "version": "v1"}
_ROOT = "/process/availability/v1"


class PartedSnapshotView(Struct, kw_only=True):
    """A snapshot in parts.

    `incomplete` ones wait for parts (a week at most) and change nothing; a `failing` one is tried again behind the
    others, and the workers' log says why.
    """

    source: str
    snapshot: str
    state: Literal["incomplete", "applying", "failing", "applied"]
    full: bool
    parts: int
    arrived: int
    applied: int
    taken_at: datetime
    opened_at: datetime
    completed_at: datetime | None
    applied_at: datetime | None


class PartedSnapshotList(Struct, kw_only=True):
    """The latest first; applied ones are listed for a week."""

    snapshots: list[PartedSnapshotView]


def snapshot_routes(availability: Availability) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""

    @get(f"{_ROOT}/snapshots", opt={**_API, "scopes": ["stock:read"], "cost": 2}, operation_id="listPartedSnapshots")
    async def list_parted_snapshots(
        request: Request[Any, Any, Any], limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50
    ) -> PartedSnapshotList:
        """List snapshots that came in parts, with how many parts have arrived and how many are applied."""
        rows = await availability.parts.list(caller_of(request.scope).tenant, limit)
        return PartedSnapshotList(snapshots=[_view(row) for row in rows])

    return [list_parted_snapshots]


def _view(row: Any) -> PartedSnapshotView:
    return PartedSnapshotView(
        source=row["source"],
        snapshot=row["event_id"],
        state=_state(row),
        full=row["full_scope"],
        parts=row["parts"],
        arrived=row["arrived"],
        applied=row["applied"],
        taken_at=row["taken_at"],
        opened_at=row["opened_at"],
        completed_at=row["completed_at"],
        applied_at=row["applied_at"],
    )


def _state(row: Any) -> Literal["incomplete", "applying", "failing", "applied"]:
    if row["applied_at"] is not None:
        return "applied"
    if row["completed_at"] is None:
        return "incomplete"
    return "applying" if row["failed_at"] is None else "failing"
