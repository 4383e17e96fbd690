"""Transfers and status changes for internal applications: ask, read, release, cancel, close.

Commands that make something bear the caller's own action id and may be repeated; all others may be repeated as such.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody, QueryParameter

from gateway.kernel.exchange import Idempotency, caller_of
from process_apis.stock_operations import schemas
from process_apis.stock_operations.count_routes import count_routes
from process_apis.stock_operations.handing import Handled, Side
from process_apis.stock_operations.models import ChangeState, TransferState
from process_apis.stock_operations.process import StockOperations

_ROOT = "/process/stock-operations/v1"
_API = {"zone": "process", "tenant_aware": True, "api": "stock-operations", "version": "v1"}
_WRITE = {"idempotency": Idempotency.OPTIONAL}
_READ_TRANSFERS = {**_API, "scopes": ["transfers:read"], "cost": 1}
_TRANSFER = {**_API, **_WRITE, "scopes": ["transfers:write"], "cost": 2, "failures": (404, 409)}
_CLOSE = {**_TRANSFER, "scopes": ["transfers:close"]}
_READ_CHANGES = {**_API, "scopes": ["stock-status:read"], "cost": 1}
_CHANGE = {**_API, **_WRITE, "scopes": ["stock-status:write"], "cost": 2, "failures": (404, 409)}
Cursor = Annotated[str | None, QueryParameter(description="`next_cursor` of the page before.", max_length=40)]
Limit = Annotated[int, QueryParameter(ge=1, le=100)]
OpenOnly = Annotated[bool, QueryParameter(name="open", description="Only what is not over yet.")]
Place = Annotated[str | None, QueryParameter(max_length=100)]


def routes(operations: StockOperations) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""
    return [
        *_transfers(operations),
        *_ending(operations),
        *_changes(operations),
        *_handling(operations),
        *_mending(operations),
        *count_routes(operations.counts),
    ]


def _transfers(operations: StockOperations) -> list[HTTPRouteHandler]:
    transfers = operations.transfers

    @post(f"{_ROOT}/transfers", status_code=201, opt={**_TRANSFER, "body_cost": _lines}, operation_id="planTransfer")
    async def plan_transfer(
        request: Request[Any, Any, Any], data: JSONBody[schemas.TransferPlanInput]
    ) -> schemas.TransferView:
        """Plan a transfer: its goods are promised to it at the origin at once, all or none."""
        made = await transfers.plan(caller_of(request.scope), schemas.command_of(data))
        return schemas.transfer_view(made, _today())

    @get(f"{_ROOT}/transfers", opt=_READ_TRANSFERS, operation_id="listTransfers")
    async def list_transfers(
        request: Request[Any, Any, Any],
        transfer_state: Annotated[TransferState | None, QueryParameter(name="state")] = None,
        location: Place = None,
        open_only: OpenOnly = False,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> schemas.TransferPage:
        """List transfers, newest first; `location` is where they leave or come in."""
        found = await transfers.listed(
            caller_of(request.scope).tenant,
            state=transfer_state,
            location=location,
            open_only=open_only,
            before=cursor,
            limit=limit,
        )
        more = found[-1].transfer if len(found) == limit else None
        return schemas.TransferPage(items=[schemas.transfer_view(each, _today()) for each in found], next_cursor=more)

    @get(f"{_ROOT}/transfers/{{transfer_id:str}}", opt=_READ_TRANSFERS, operation_id="getTransfer")
    async def get_transfer(request: Request[Any, Any, Any], transfer_id: FromPath[str]) -> schemas.TransferView:
        """Read one transfer."""
        found = await transfers.get(caller_of(request.scope).tenant, transfer_id)
        return schemas.transfer_view(found, _today())

    return [plan_transfer, list_transfers, get_transfer]


def _ending(operations: StockOperations) -> list[HTTPRouteHandler]:
    transfers = operations.transfers
    one = f"{_ROOT}/transfers/{{transfer_id:str}}"

    @post(f"{one}/release", status_code=200, opt=_TRANSFER, operation_id="releaseTransfer")
    async def release_transfer(request: Request[Any, Any, Any], transfer_id: FromPath[str]) -> schemas.TransferView:
        """Ask the origin's warehouse to send it; once it was refused, ask again."""
        return schemas.transfer_view(await transfers.release(caller_of(request.scope), transfer_id), _today())

    @post(f"{one}/cancellation", status_code=200, opt=_TRANSFER, operation_id="cancelTransfer")
    async def cancel_transfer(
        request: Request[Any, Any, Any], transfer_id: FromPath[str], data: JSONBody[schemas.ReasonInput]
    ) -> schemas.TransferView:
        """Give it up before goods leave; where a warehouse may work on it, it is asked back first."""
        found = await transfers.cancel(caller_of(request.scope), transfer_id, reason=data.reason)
        return schemas.transfer_view(found, _today())

    @post(f"{one}/closure", status_code=200, opt=_CLOSE, operation_id="closeTransfer")
    async def close_transfer(
        request: Request[Any, Any, Any], transfer_id: FromPath[str], data: JSONBody[schemas.ClosureInput]
    ) -> schemas.TransferView:
        """Say that what is missing will not come, of all lines or some, and where it is; until then it stays open."""
        found = await transfers.close(
            caller_of(request.scope), transfer_id, reason=data.reason, missing=data.missing, lines=data.lines
        )
        return schemas.transfer_view(found, _today())

    return [release_transfer, cancel_transfer, close_transfer]


def _handling(operations: StockOperations) -> list[HTTPRouteHandler]:
    one = f"{_ROOT}/transfers/{{transfer_id:str}}"

    async def told(
        request: Request[Any, Any, Any], transfer_id: str, side: Side, data: schemas.HandlingInput
    ) -> schemas.TransferView:
        lines = [Handled(line.line, Decimal(line.amount), line.lot) for line in data.lines]
        known = await operations.handling.tell(
            caller_of(request.scope), transfer_id, side, action=data.action, at=data.occurred_at, lines=lines
        )
        return schemas.transfer_view(known, _today())

    @post(f"{one}/dispatches", status_code=202, opt=_TRANSFER, operation_id="dispatchTransfer")
    async def dispatch_transfer(
        request: Request[Any, Any, Any], transfer_id: FromPath[str], data: JSONBody[schemas.HandlingInput]
    ) -> schemas.TransferView:
        """Tell what left, where the origin is held by us; its lines count it in a moment."""
        return await told(request, transfer_id, "dispatch", data)

    @post(f"{one}/receipts", status_code=202, opt=_TRANSFER, operation_id="receiveTransfer")
    async def receive_transfer(
        request: Request[Any, Any, Any], transfer_id: FromPath[str], data: JSONBody[schemas.HandlingInput]
    ) -> schemas.TransferView:
        """Tell what came, where the destination is held by us; its lines count it in a moment."""
        return await told(request, transfer_id, "receipt", data)

    return [dispatch_transfer, receive_transfer]


def _changes(operations: StockOperations) -> list[HTTPRouteHandler]:
    changes = operations.changes

    @post(f"{_ROOT}/status-changes", status_code=201, opt=_CHANGE, operation_id="changeStatus")
    async def change_status(
        request: Request[Any, Any, Any], data: JSONBody[schemas.StatusChangeInput]
    ) -> schemas.StatusChangeView:
        """Have a quantity held, released, written off as damaged or restored by who holds it."""
        return schemas.change_view(await changes.ask(caller_of(request.scope), schemas.change_command_of(data)))

    @get(f"{_ROOT}/status-changes", opt=_READ_CHANGES, operation_id="listStatusChanges")
    async def list_status_changes(
        request: Request[Any, Any, Any],
        change_state: Annotated[ChangeState | None, QueryParameter(name="state")] = None,
        location: Place = None,
        open_only: OpenOnly = False,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> schemas.StatusChangePage:
        """List status changes, newest first."""
        found = await changes.listed(
            caller_of(request.scope).tenant,
            state=change_state,
            location=location,
            open_only=open_only,
            before=cursor,
            limit=limit,
        )
        more = found[-1].change if len(found) == limit else None
        return schemas.StatusChangePage(items=[schemas.change_view(each) for each in found], next_cursor=more)

    @get(f"{_ROOT}/status-changes/{{change_id:str}}", opt=_READ_CHANGES, operation_id="getStatusChange")
    async def get_status_change(request: Request[Any, Any, Any], change_id: FromPath[str]) -> schemas.StatusChangeView:
        """Read one status change."""
        return schemas.change_view(await changes.get(caller_of(request.scope).tenant, change_id))

    return [change_status, list_status_changes, get_status_change]


def _mending(operations: StockOperations) -> list[HTTPRouteHandler]:
    changes = operations.changes
    one = f"{_ROOT}/status-changes/{{change_id:str}}"

    @post(f"{one}/retry", status_code=200, opt=_CHANGE, operation_id="retryStatusChange")
    async def retry_status_change(
        request: Request[Any, Any, Any], change_id: FromPath[str]
    ) -> schemas.StatusChangeView:
        """Ask again what was refused."""
        return schemas.change_view(await changes.retry(caller_of(request.scope), change_id))

    @post(f"{one}/withdrawal", status_code=200, opt=_CHANGE, operation_id="withdrawStatusChange")
    async def withdraw_status_change(
        request: Request[Any, Any, Any], change_id: FromPath[str], data: JSONBody[schemas.ReasonInput]
    ) -> schemas.StatusChangeView:
        """Ask it no more, while it was not made."""
        return schemas.change_view(await changes.withdraw(caller_of(request.scope), change_id, reason=data.reason))

    return [retry_status_change, withdraw_status_change]


def _today() -> Any:
    return datetime.now(UTC).date()


def _lines(body: schemas.TransferPlanInput) -> int:
    return len(body.lines) // 10
