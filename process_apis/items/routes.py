"""The process API of items, for internal applications."""

from typing import Annotated, Any

from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter
from msgspec import Meta, Struct

from gateway.canonical.item import Item
from gateway.kernel.exchange import caller_of
from gateway.kernel.quantity import plain
from gateway.reference.http import import_route
from process_apis.items.kit_routes import kit_routes
from process_apis.items.kits import Kits
from process_apis.items.process import Items

_API = {"zone": "process", "tenant_aware": True, "api": "items", "version": "v1"}
_DECIMAL = r"^-?[0-9]{1,18}(\.[0-9]{1,12})?$(?!\n)"


class PackView(Struct, kw_only=True):
    """A further unit and how many base units it holds."""

    uom: str
    factor: Annotated[str, Meta(pattern=_DECIMAL)]


class PriceView(Struct, kw_only=True):
    """An exact amount per base unit in one currency (ISO 4217)."""

    amount: Annotated[str, Meta(pattern=_DECIMAL)]
    currency: str


class ItemView(Struct, kw_only=True):
    """One item, its units and list price."""

    id: str
    sku: str
    name: str
    base_uom: str
    packs: list[PackView]
    list_price: PriceView | None
    sellable: bool


class ItemPage(Struct, kw_only=True):
    """A page of items."""

    items: Annotated[list[ItemView], Meta(max_length=200)]
    next_cursor: str | None


def routes(items: Items, kits: Kits) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""

    @get(
        "/process/items/v1/items",
        opt={**_API, "scopes": ["items:read"], "cost": 1},
        operation_id="listItems",
    )
    async def list_items(
        request: Request[Any, Any, Any],
        sku: Annotated[str | None, QueryParameter(min_length=1, max_length=100)] = None,
        cursor: Annotated[str | None, QueryParameter(max_length=40)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=200)] = 100,
    ) -> ItemPage:
        tenant = caller_of(request.scope).tenant
        if sku is not None:
            found = await items.by_sku(tenant, [sku])
            return ItemPage(items=[_view(item) for item in found.values()], next_cursor=None)
        page = await items.list_items(tenant, after=cursor, limit=limit)
        return ItemPage(items=[_view(item) for item in page], next_cursor=page[-1].item if len(page) == limit else None)

    @get(
        "/process/items/v1/items/{item_id:str}",
        opt={**_API, "scopes": ["items:read"], "cost": 1},
        operation_id="getItem",
    )
    async def get_item(request: Request[Any, Any, Any], item_id: FromPath[str]) -> ItemView:
        return _view(await items.get(caller_of(request.scope).tenant, item_id))

    return [list_items, get_item, import_route(items, _API, one="Item", domain="item"), *kit_routes(kits)]


def _view(item: Item) -> ItemView:
    price = item.list_price
    return ItemView(
        id=item.item,
        sku=item.sku,
        name=item.name,
        base_uom=item.base_uom,
        packs=[PackView(uom=pack.uom, factor=plain(pack.factor)) for pack in item.packs],
        list_price=None if price is None else PriceView(amount=plain(price.amount), currency=price.currency),
        sellable=item.sellable,
    )
