"""What is short, for whoever has to do something about it."""

from datetime import datetime
from typing import Annotated, Any

from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from msgspec import Struct

from gateway.kernel.exchange import caller_of
from gateway.kernel.quantity import plain
from process_apis.availability.process import Availability
from process_apis.availability.schemas import Figure

_API = {"zone": "process", "tenant_aware": True, "api": "availability", "version": "v1"}


class ShortageView(Struct, kw_only=True):
    """One stock line that has less than is promised of it, in base units.

    `short` is what lacks, `marked` how much of it falls on the claims of orders, `handed` the part of that which other
    systems work on already: that is for a person. The rest is open demand of other systems.
    """

    item: str
    location: str
    owner: str
    short: Figure
    marked: Figure
    handed: Figure
    since: datetime
    decided_at: datetime


class ShortageList(Struct, kw_only=True):
    """Short lines by item, location and owner. Ask for what comes after the last one until none comes."""

    shortages: list[ShortageView]


def shortage_routes(availability: Availability) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""

    @get(
        "/process/availability/v1/shortages",
        opt={**_API, "scopes": ["stock:read"], "cost": 2},
        operation_id="listShortages",
    )
    async def list_shortages(
        request: Request[Any, Any, Any],
        after_item: Annotated[str, QueryParameter(max_length=40)] = "",
        after_location: Annotated[str, QueryParameter(max_length=200)] = "",
        after_owner: Annotated[str, QueryParameter(max_length=200)] = "",
        limit: Annotated[int, QueryParameter(ge=1, le=200)] = 100,
    ) -> ShortageList:
        """List stock lines that have less than is promised of them, as the shortage rule decided on them last."""
        after = (after_item, after_location, after_owner)
        rows = await availability.shortages.short_lines(caller_of(request.scope).tenant, after=after, limit=limit)
        return ShortageList(shortages=[_view(row) for row in rows])

    return [list_shortages]


def _view(row: Any) -> ShortageView:
    return ShortageView(
        item=row["item"],
        location=row["location"],
        owner=row["owner"],
        short=plain(row["short"]),
        marked=plain(row["marked"]),
        handed=plain(row["handed"]),
        since=row["since"],
        decided_at=row["decided_at"],
    )
