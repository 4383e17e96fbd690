"""Supply in, and what may be promised by date, for internal applications."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Final

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, QueryParameter

from gateway.canonical.capabilities import Report
from gateway.kernel.errors import Rejected
from gateway.kernel.exchange import Idempotency, caller_of
from process_apis.availability import supply_schemas as schemas
from process_apis.availability.process import Availability
from process_apis.availability.schemas import ReceiptView, receipt_view
from process_apis.availability.sources import may_speak_for

_ROOT: Final = "/process/availability/v1"
_API: Final = {"zone": "process", "tenant_aware": True, "api": "availability", "version": "v1"}
_MOST_ITEMS: Final = 50
_MOST_DATES: Final = 12
_AMOUNT: Final = r"^(?=[0-9.]*[1-9])[0-9]{1,24}(\.[0-9]{1,12})?$(?!\n)"


def supply_routes(availability: Availability) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""

    @post(
        f"{_ROOT}/supply",
        status_code=200,
        opt={**_API, "scopes": ["stock:write"], "cost": 5, "body_cost": _lines, "idempotency": Idempotency.OPTIONAL},
        operation_id="recordSupply",
    )
    async def record_supply(request: Request[Any, Any, Any], data: JSONBody[schemas.SupplyBatch]) -> ReceiptView:
        """Take lines of purchase orders and transfers; of each line the newest version counts."""
        caller = caller_of(request.scope)
        may_speak_for(caller.principal, [data.source])
        lines = tuple(schemas.supply_of(data.source, each) for each in data.lines)
        return receipt_view(await availability.record(caller.tenant, Report(supply=lines)))

    @get(f"{_ROOT}/supply", opt={**_API, "scopes": ["stock:read"], "cost": 1}, operation_id="listSupply")
    async def list_supply(
        request: Request[Any, Any, Any], item: Annotated[str, QueryParameter(min_length=1, max_length=40)]
    ) -> schemas.SupplyList:
        """List the supply lines of an item, by document, and how much of each is still to come."""
        found = await availability.supply(caller_of(request.scope).tenant, [item])
        return schemas.SupplyList(lines=[schemas.supply_view(*each) for each in found])

    @get(f"{_ROOT}/promises", opt={**_API, "scopes": ["availability:read"], "cost": 2}, operation_id="getPromises")
    async def get_promises(
        request: Request[Any, Any, Any],
        item: Annotated[str, QueryParameter(max_length=2_000, description="item ids, separated by commas, at most 50")],
        on: Annotated[
            str | None,
            QueryParameter(name="date", max_length=200, description="dates, separated by commas, at most 12"),
        ] = None,
        amount: Annotated[
            str | None,
            QueryParameter(pattern=_AMOUNT, max_length=40, description="in base units: `earliest` says when first"),
        ] = None,
        channel: Annotated[str, QueryParameter(max_length=100)] = "default",
    ) -> schemas.PromiseList:
        """Answer what the channel may promise of items for each date, today by default, and when first an amount."""
        items = [each for each in item.split(",") if each]
        if not 0 < len(items) <= _MOST_ITEMS:
            raise Rejected(f"ask for 1 to {_MOST_ITEMS} items", code="availability.too_many_items")
        answers = await availability.promises(
            caller_of(request.scope).tenant,
            channel=channel,
            items=items,
            dates=_dates(on),
            amount=None if amount is None else Decimal(amount),
        )
        return schemas.PromiseList(items=[schemas.promise_view(answer) for answer in answers])

    return [record_supply, list_supply, get_promises]


def _dates(text: str | None) -> list[date] | None:
    if text is None:
        return None
    named = [each for each in text.split(",") if each]
    if not 0 < len(named) <= _MOST_DATES:
        raise Rejected(f"ask for 1 to {_MOST_DATES} dates", code="promise.too_many_dates")
    try:
        return [date.fromisoformat(each) for each in named]
    except ValueError as error:
        raise Rejected(f"{text} is no list of dates: write them as 2026-12-05", code="promise.date_invalid") from error


def _lines(body: schemas.SupplyBatch) -> int:
    return len(body.lines) // 10
