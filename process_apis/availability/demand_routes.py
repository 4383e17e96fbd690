"""Open demand of other systems, as they tell it."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody
from msgspec import Meta, Struct

from gateway.canonical.stock import DemandFeed, DemandLine, OrderKey
from gateway.kernel.exchange import Idempotency, caller_of
from process_apis.availability.process import Availability
from process_apis.availability.schemas import ReceiptView, Text, receipt_view
from process_apis.availability.sources import may_speak_for

_API = {"zone": "process", "tenant_aware": True, "api": "availability", "version": "v1"}
_Number = Annotated[int, Meta(ge=0, le=2**53)]
_Open = Annotated[str, Meta(pattern=r"^[0-9]{1,24}(\.[0-9]{1,12})?$(?!\n)", examples=["12", "0.5"])]


class DemandLineInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """One open line that does not bear our reference, in the source's codes and units; zero when nothing is open."""

    reference: Text
    item: Text
    location: Text
    amount: _Open
    uom: Text
    due: date | None = None


class DemandFeedInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What one source has open. `epoch`, `sequence`: this feed's place in the source's order; an older word never wins.

    A `full` feed speaks of all lines: what it leaves out is no longer open. Any other only of those that it has.
    """

    source: Text
    epoch: _Number = 0
    sequence: _Number
    full: bool
    lines: Annotated[list[DemandLineInput], Meta(max_length=5_000)]


def demand_routes(availability: Availability) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""

    @post(
        "/process/availability/v1/demand",
        status_code=200,
        opt={**_API, "scopes": ["stock:write"], "cost": 5, "body_cost": _lines, "idempotency": Idempotency.OPTIONAL},
        operation_id="recordDemand",
    )
    async def record_demand(request: Request[Any, Any, Any], data: JSONBody[DemandFeedInput]) -> ReceiptView:
        """Take open demand of one other system: it lowers what may be promised."""
        caller = caller_of(request.scope)
        may_speak_for(caller.principal, [data.source])
        return receipt_view(await availability.take_demand(caller.tenant, _feed(data)))

    return [record_demand]


def _lines(body: DemandFeedInput) -> int:
    return len(body.lines) // 10


def _feed(data: DemandFeedInput) -> DemandFeed:
    return DemandFeed(
        source=data.source,
        order_key=OrderKey(data.epoch, data.sequence),
        full=data.full,
        lines=[
            DemandLine(
                source_reference=each.reference,
                source_item=each.item,
                source_location=each.location,
                amount=Decimal(each.amount),
                uom=each.uom,
                due=each.due,
            )
            for each in data.lines
        ],
    )
