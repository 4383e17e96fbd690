"""Who holds locations that were switched, and switching them, for operators' tools."""

from datetime import datetime
from typing import Any

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody
from msgspec import Struct

from gateway.kernel.exchange import Idempotency, caller_of
from process_apis.availability.process import Availability
from process_apis.availability.schemas import Text

_API = {"zone": "process", "tenant_aware": True, "api": "availability", "version": "v1"}


class HolderView(Struct, kw_only=True):
    """A location that was switched: its figures are those of `holder` since then.

    While the first full snapshot is `awaiting` they stand as they were.
    """

    location: str
    holder: str
    since: datetime
    awaiting: bool
    made_by: str
    reason: str


class HolderList(Struct, kw_only=True):
    """Locations that were ever switched; every other one is held by its declared holder."""

    holders: list[HolderView]


class SwitchInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """Let `holder` (the declared one or the stand-by) hold `location` from now on."""

    location: Text
    holder: Text
    reason: Text


class SwitchView(Struct, kw_only=True):
    """A switch that was made; `era` counts them by location."""

    location: str
    holder: str
    before: str
    era: int
    since: datetime


def holder_routes(availability: Availability) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""

    @get(
        "/process/availability/v1/holders",
        opt={**_API, "scopes": ["stock:read"], "cost": 1},
        operation_id="listHolders",
    )
    async def list_holders(request: Request[Any, Any, Any]) -> HolderList:
        """List the locations that were switched to another source, and who holds them now."""
        rows = await availability.holders(caller_of(request.scope).tenant)
        names = HolderView.__struct_fields__
        return HolderList(holders=[HolderView(**{name: row[name] for name in names}) for row in rows])

    @post(
        "/process/availability/v1/holder-switches",
        status_code=201,
        opt={
            **_API,
            "scopes": ["holders:write"],
            "cost": 2,
            "idempotency": Idempotency.OPTIONAL,
            "failures": (404, 409),
        },
        operation_id="switchHolder",
    )
    async def switch_holder(request: Request[Any, Any, Any], data: JSONBody[SwitchInput]) -> SwitchView:
        """Switch a location to its stand-by source, or back; its figures count from a new full snapshot on."""
        caller = caller_of(request.scope)
        made = await availability.switch_holder(
            caller.tenant,
            data.location,
            to=data.holder,
            actor=caller.principal.subject,
            reason=data.reason,
            correlation_id=caller.correlation_id,
        )
        return SwitchView(**made._asdict())

    return [list_holders, switch_holder]
