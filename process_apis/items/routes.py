"""The process API of items, for internal applications and stewards of master data."""

from typing import Annotated, Any, Final

from litestar import Request, get, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody, QueryParameter

from gateway.kernel.errors import Rejected
from gateway.kernel.exchange import Idempotency, caller_of
from gateway.reference import shapes
from gateway.reference.http import master_routes, reading_routes
from gateway.reference.speaking import may_state
from process_apis.items import schemas
from process_apis.items.kit_routes import kit_routes
from process_apis.items.kits import Kits
from process_apis.items.models import DOMAIN
from process_apis.items.process import Items
from process_apis.items.substitute_routes import substitute_routes
from process_apis.items.substitutes import Substitutes

_API: Final[dict[str, Any]] = {"zone": "process", "tenant_aware": True, "api": "items", "version": "v1"}
_READ: Final = {**_API, "scopes": ["items:read"], "cost": 1}
_WRITE: Final = {**_API, "scopes": ["items:write"], "cost": 5, "idempotency": Idempotency.OPTIONAL}
_ROOT: Final = "/process/items/v1"
_ONE: Final = f"{_ROOT}/items/{{item_id:str}}"
Name = Annotated[str | None, QueryParameter(min_length=1, max_length=200)]


def routes(items: Items, kits: Kits, substitutes: Substitutes) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""
    masters = master_routes(items, _API, one="Item", domain=DOMAIN)
    lists = reading_routes(items.store, _API, one="Item", domain=DOMAIN)
    return [*_reading(items), *_changing(items), *masters, *lists, *kit_routes(kits), *substitute_routes(substitutes)]


def _reading(items: Items) -> list[HTTPRouteHandler]:
    @get(f"{_ROOT}/items", opt=_READ, operation_id="listItems")
    async def list_items(
        request: Request[Any, Any, Any],
        sku: Annotated[str | None, QueryParameter(min_length=1, max_length=100)] = None,
        source: Name = None,
        code: Name = None,
        cursor: Annotated[str | None, QueryParameter(max_length=40)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=200)] = 100,
    ) -> schemas.ItemPage:
        """List items: all, the one with a SKU, or the one that `source` calls `code`."""
        tenant = caller_of(request.scope).tenant
        if (source is None) is not (code is None):
            raise Rejected("a code means something to its source only: give both", code="item.code_alone")
        if source is not None and code is not None:
            found = list((await items.by_source(tenant, source, [code])).values())
        elif sku is not None:
            found = list((await items.by_sku(tenant, [sku])).values())
        else:
            found = list(await items.list_items(tenant, after=cursor, limit=limit))
            more = found[-1].item if len(found) == limit else None
            return schemas.ItemPage(items=[schemas.item_view(item) for item in found], next_cursor=more)
        return schemas.ItemPage(items=[schemas.item_view(item) for item in found], next_cursor=None)

    @get(_ONE, opt=_READ, operation_id="getItem")
    async def get_item(request: Request[Any, Any, Any], item_id: FromPath[str]) -> schemas.ItemView:
        return schemas.item_view(await items.get(caller_of(request.scope).tenant, item_id))

    @get(f"{_ONE}/codes", opt=_READ, operation_id="listItemCodes")
    async def list_codes(request: Request[Any, Any, Any], item_id: FromPath[str]) -> schemas.ItemCodes:
        """List what each system calls an item."""
        tenant = caller_of(request.scope).tenant
        await items.get(tenant, item_id)
        return schemas.code_list(await items.codes(tenant, item_id))

    @get(f"{_ONE}/provenance", opt=_READ, operation_id="getItemProvenance")
    async def get_provenance(request: Request[Any, Any, Any], item_id: FromPath[str]) -> shapes.ProvenanceList:
        """Tell of each attribute where its value comes from, since when, and what the other sources say."""
        return shapes.provenance_list(await items.provenance(caller_of(request.scope).tenant, item_id))

    return [list_items, get_item, list_codes, get_provenance]


def _changing(items: Items) -> list[HTTPRouteHandler]:
    @post(f"{_ROOT}/items", opt={**_WRITE, "failures": (409,)}, operation_id="addItem")
    async def add_item(request: Request[Any, Any, Any], data: JSONBody[schemas.ItemInput]) -> schemas.ItemView:
        """Add an item."""
        caller = caller_of(request.scope)
        may_state(caller.principal, data.source)
        return schemas.item_view(await items.add(caller, data.source, schemas.new_item(data)))

    @put(f"{_ONE}/statements/{{source:str}}", opt=_WRITE, operation_id="stateItem")
    async def state_item(
        request: Request[Any, Any, Any],
        item_id: FromPath[str],
        source: FromPath[str],
        data: JSONBody[schemas.ItemStatement],
    ) -> schemas.ItemView:
        """Say what a source knows of an item, in place of what it said before. Answers what counts now."""
        caller = caller_of(request.scope)
        may_state(caller.principal, source)
        return schemas.item_view(await items.state(caller, source, item_id, schemas.said_of(data)))

    @put(f"{_ONE}/codes/{{source:str}}", opt=_WRITE, operation_id="addItemCode")
    async def add_code(
        request: Request[Any, Any, Any],
        item_id: FromPath[str],
        source: FromPath[str],
        data: JSONBody[schemas.ItemCodeInput],
    ) -> schemas.ItemCodes:
        """Say what a system calls an item, beside its other codes for it. A code means one item."""
        caller = caller_of(request.scope)
        may_state(caller.principal, source)
        await items.add_code(caller, source, item_id, data.code)
        return schemas.code_list(await items.codes(caller.tenant, item_id))

    return [add_item, state_item, add_code]
