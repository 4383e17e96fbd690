"""Kits in the process API of items: what they are made of, from when on."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from litestar import Request, get, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from gateway.canonical.kit import MOST_COMPONENTS, Component
from gateway.kernel.exchange import Idempotency, caller_of
from gateway.kernel.quantity import plain
from gateway.reference.http import import_route
from process_apis.items.kits import Kits

_API = {"zone": "process", "tenant_aware": True, "api": "items", "version": "v1"}
_KIT = "/process/items/v1/items/{item_id:str}/kit"
Amount = Annotated[str, Meta(pattern=r"^[0-9]{1,12}(\.[0-9]{1,6})?$(?!\n)", examples=["2", "0.5"])]
ItemId = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$(?!\n)")]


class ComponentInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """How much of an item goes into one kit, in its base units."""

    item: ItemId
    amount: Amount


class KitInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What a kit is made of from `effective_from` on (now, if left out); of nothing: it is no kit any more."""

    components: Annotated[list[ComponentInput], Meta(max_length=MOST_COMPONENTS)]
    effective_from: Annotated[datetime, Meta(tz=True)] | None = None
    note: Annotated[str, Meta(max_length=500, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)")] = ""


class ComponentView(Struct, kw_only=True):
    """How much of an item goes into one kit, in its base units."""

    item: str
    amount: Amount


class KitVersionView(Struct, kw_only=True):
    """What a kit is made of from an instant on, and who said so."""

    effective_from: datetime
    components: list[ComponentView]
    source: str
    made_by: str
    made_at: datetime
    note: str


class KitVersionList(Struct, kw_only=True):
    """The latest first; the first that has begun holds. Empty for what was never a kit."""

    item: str
    versions: Annotated[list[KitVersionView], Meta(max_length=100)]


def kit_routes(kits: Kits) -> list[HTTPRouteHandler]:
    """Handlers bound to the kits."""

    @get(_KIT, opt={**_API, "scopes": ["items:read"], "cost": 1}, operation_id="getKit")
    async def get_kit(request: Request[Any, Any, Any], item_id: FromPath[str]) -> KitVersionList:
        """Tell what an item is made of, was and will be."""
        return await _versions(kits, caller_of(request.scope).tenant, item_id)

    @put(
        _KIT,
        opt={
            **_API,
            "scopes": ["items:write"],
            "cost": 5,
            "idempotency": Idempotency.OPTIONAL,
            "failures": (404, 409),
        },
        operation_id="setKit",
    )
    async def set_kit(
        request: Request[Any, Any, Any], item_id: FromPath[str], data: JSONBody[KitInput]
    ) -> KitVersionList:
        """Say what an item is made of. Components are no kits themselves. Promises that stand keep what they hold.

        Every worker knows it within a second.
        """
        caller = caller_of(request.scope)
        parts = [Component(part.item, Decimal(part.amount)) for part in data.components]
        await kits.change(caller, item_id, parts, effective_from=data.effective_from, note=data.note)
        return await _versions(kits, caller.tenant, item_id)

    return [get_kit, set_kit, import_route(kits, _API, one="Kit", domain="kit", path="kit-imports")]


async def _versions(kits: Kits, tenant: str, item: str) -> KitVersionList:
    names = ("effective_from", "source", "made_by", "made_at", "note")
    return KitVersionList(
        item=item,
        versions=[
            KitVersionView(
                components=[
                    ComponentView(item=part, amount=plain(amount))
                    for part, amount in zip(row["components"] or (), row["amounts"] or (), strict=True)
                ],
                **{name: row[name] for name in names},
            )
            for row in await kits.versions(tenant, item)
        ],
    )
