"""Substitutes in the process API of items: what may stand in for an item, from when on."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from litestar import Request, get, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from gateway.canonical.substitute import MOST_SUBSTITUTES, ListedSubstitute
from gateway.kernel.exchange import Idempotency, caller_of
from gateway.kernel.quantity import plain
from gateway.reference.http import import_route
from process_apis.items.kit_routes import Amount, ItemId
from process_apis.items.substitutes import Substitutes

_API = {"zone": "process", "tenant_aware": True, "api": "items", "version": "v1"}
_LIST = "/process/items/v1/items/{item_id:str}/substitutes"
Channel = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f;]+$(?!\n)")]


class SubstituteInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """An item of which `factor` base units serve one of what is asked for, in these `channels` (none: in all).

    `both_ways`: what is asked for stands in for this one as well, after what that one lists itself.
    """

    item: ItemId
    factor: Amount = "1"
    both_ways: bool = False
    channels: Annotated[list[Channel], Meta(max_length=50)] = []


class SubstitutesInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What may stand in for an item from `effective_from` on (now, if left out), the preferred first; or nothing."""

    substitutes: Annotated[list[SubstituteInput], Meta(max_length=MOST_SUBSTITUTES)]
    effective_from: Annotated[datetime, Meta(tz=True)] | None = None
    note: Annotated[str, Meta(max_length=500, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)")] = ""


class ListedSubstituteView(Struct, kw_only=True):
    """So many base units of it serve one of the item."""

    item: str
    factor: Amount
    both_ways: bool
    channels: list[str]


class SubstitutesVersionView(Struct, kw_only=True):
    """What may stand in for an item from an instant on, and who said so."""

    effective_from: datetime
    substitutes: list[ListedSubstituteView]
    source: str
    made_by: str
    made_at: datetime
    note: str


class SubstitutesVersionList(Struct, kw_only=True):
    """The latest first; the first that has begun holds. Empty for what never had substitutes of its own."""

    item: str
    versions: Annotated[list[SubstitutesVersionView], Meta(max_length=100)]


def substitute_routes(substitutes: Substitutes) -> list[HTTPRouteHandler]:
    """Handlers bound to the substitutes."""

    @get(_LIST, opt={**_API, "scopes": ["items:read"], "cost": 1}, operation_id="getSubstitutes")
    async def get_substitutes(request: Request[Any, Any, Any], item_id: FromPath[str]) -> SubstitutesVersionList:
        """Tell what may stand in for an item, did and will."""
        return await _versions(substitutes, caller_of(request.scope).tenant, item_id)

    @put(
        _LIST,
        opt={
            **_API,
            "scopes": ["items:write"],
            "cost": 5,
            "idempotency": Idempotency.OPTIONAL,
            "failures": (404, 409),
        },
        operation_id="setSubstitutes",
    )
    async def set_substitutes(
        request: Request[Any, Any, Any], item_id: FromPath[str], data: JSONBody[SubstitutesInput]
    ) -> SubstitutesVersionList:
        """Say what may stand in for an item. Every worker knows it within a second; promises that stand stay."""
        caller = caller_of(request.scope)
        listed = [
            ListedSubstitute(each.item, Decimal(each.factor), each.both_ways, tuple(sorted(set(each.channels))))
            for each in data.substitutes
        ]
        await substitutes.change(caller, item_id, listed, effective_from=data.effective_from, note=data.note)
        return await _versions(substitutes, caller.tenant, item_id)

    imported = import_route(substitutes, _API, one="Substitute", domain="substitute", path="substitute-imports")
    return [get_substitutes, set_substitutes, imported]


async def _versions(substitutes: Substitutes, tenant: str, item: str) -> SubstitutesVersionList:
    names = ("effective_from", "source", "made_by", "made_at", "note")
    return SubstitutesVersionList(
        item=item,
        versions=[
            SubstitutesVersionView(
                substitutes=[
                    ListedSubstituteView(
                        item=each.item,
                        factor=plain(each.factor),
                        both_ways=each.both_ways,
                        channels=list(each.channels),
                    )
                    for each in row["listed"]
                ],
                **{name: row[name] for name in names},
            )
            for row in await substitutes.versions(tenant, item)
        ],
    )
