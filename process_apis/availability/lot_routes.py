"""The last days of lots, for internal applications."""

from datetime import date, datetime
from typing import Annotated, Any

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, QueryParameter
from msgspec import Meta, Struct

from gateway.kernel.exchange import Idempotency, caller_of
from process_apis.availability.lots import LotTold
from process_apis.availability.process import Availability
from process_apis.availability.rule_schemas import ItemId
from process_apis.availability.schemas import Text

_ROOT = "/process/availability/v1"
_API = {"zone": "process", "tenant_aware": True, "api": "availability", "version": "v1"}


class LotInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """The last day on which goods of a lot may be used, by the date at the location where they lie."""

    item: ItemId
    lot: Text
    expires_on: date


class LotBatch(Struct, kw_only=True, forbid_unknown_fields=True):
    """Lots; the latest word about each counts."""

    lots: Annotated[list[LotInput], Meta(min_length=1, max_length=500)]


class LotView(Struct, kw_only=True):
    """A lot, its last day, and who told it when."""

    lot: str
    expires_on: date
    told_by: str
    told_at: datetime


class LotPage(Struct, kw_only=True):
    """Lots of one item, by lot. `next_cursor` asks for more."""

    lots: Annotated[list[LotView], Meta(max_length=200)]
    next_cursor: str | None


class LotsKept(Struct, kw_only=True):
    """How many lots the call told."""

    kept: int


def lot_routes(availability: Availability) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""

    @post(
        f"{_ROOT}/lots",
        status_code=200,
        opt={**_API, "scopes": ["lots:write"], "cost": 5, "idempotency": Idempotency.OPTIONAL},
        operation_id="tellLots",
    )
    async def tell_lots(request: Request[Any, Any, Any], data: JSONBody[LotBatch]) -> LotsKept:
        """Say until when goods of lots may be used: what is over, or too near its end for a channel, is not sold."""
        caller = caller_of(request.scope)
        told = [LotTold(each.item, each.lot, each.expires_on) for each in data.lots]
        await availability.lots.tell(
            caller.tenant, told, actor=caller.principal.subject, correlation_id=caller.correlation_id
        )
        return LotsKept(kept=len({(each.item, each.lot) for each in told}))

    @get(f"{_ROOT}/lots", opt={**_API, "scopes": ["stock:read"], "cost": 1}, operation_id="listLots")
    async def list_lots(
        request: Request[Any, Any, Any],
        item: Annotated[str, QueryParameter(min_length=1, max_length=40)],
        cursor: Annotated[str | None, QueryParameter(max_length=200)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=200)] = 100,
    ) -> LotPage:
        """List the lots of an item whose last day is known."""
        found = await availability.lots.listed(caller_of(request.scope).tenant, item, after=cursor, limit=limit)
        return LotPage(
            lots=[LotView(**{name: row[name] for name in LotView.__struct_fields__}) for row in found],
            next_cursor=found[-1]["lot"] if len(found) == limit else None,
        )

    return [tell_lots, list_lots]
