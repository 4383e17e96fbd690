"""The process API of locations, for internal applications and stewards of master data."""

from typing import Annotated, Any, Final

from litestar import Request, get, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody, QueryParameter

from gateway.kernel.errors import Rejected
from gateway.kernel.exchange import Idempotency, caller_of
from gateway.reference import shapes
from gateway.reference.http import master_routes
from gateway.reference.speaking import may_state
from process_apis.locations import schemas
from process_apis.locations.models import DOMAIN, Change
from process_apis.locations.process import Locations

_API: Final[dict[str, Any]] = {"zone": "process", "tenant_aware": True, "api": "locations", "version": "v1"}
_READ: Final = {**_API, "scopes": ["locations:read"], "cost": 1}
_WRITE: Final = {**_API, "scopes": ["locations:write"], "cost": 5, "idempotency": Idempotency.OPTIONAL}
_ROOT: Final = "/process/locations/v1"
_ONE: Final = f"{_ROOT}/locations/{{location_id:str}}"
Source = Annotated[str | None, QueryParameter(min_length=1, max_length=200)]


def routes(locations: Locations) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""
    return [*_reading(locations), *_changing(locations), *master_routes(locations, _API, one="Location", domain=DOMAIN)]


def _reading(locations: Locations) -> list[HTTPRouteHandler]:
    @get(f"{_ROOT}/locations", opt=_READ, operation_id="listLocations")
    async def list_locations(
        request: Request[Any, Any, Any],
        source: Source = None,
        code: Annotated[str | None, QueryParameter(min_length=1, max_length=200)] = None,
        below: Annotated[str | None, QueryParameter(max_length=64, description="all that belongs to it")] = None,
        cursor: Annotated[str | None, QueryParameter(max_length=64)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=200)] = 100,
    ) -> schemas.LocationPage:
        """List locations: all, those below one, or the one that `source` calls `code` now."""
        tenant = caller_of(request.scope).tenant
        if (source is None) is not (code is None):
            raise Rejected("a code means something to its source only: give both", code="location.code_alone")
        if source is not None and code is not None:
            found = await locations.by_code(tenant, source, code)
            return schemas.LocationPage(items=[schemas.location_view(each) for each in found], next_cursor=None)
        page = await locations.page(tenant, after=cursor, limit=limit, below=below)
        return schemas.LocationPage(
            items=[schemas.location_view(each) for each in page],
            next_cursor=page[-1].location if len(page) == limit else None,
        )

    @get(_ONE, opt=_READ, operation_id="getLocation")
    async def get_location(request: Request[Any, Any, Any], location_id: FromPath[str]) -> schemas.LocationView:
        """Read a location with what it inherits."""
        return schemas.location_view(await locations.node(caller_of(request.scope).tenant, location_id))

    @get(f"{_ONE}/codes", opt=_READ, operation_id="listLocationCodes")
    async def list_codes(request: Request[Any, Any, Any], location_id: FromPath[str]) -> schemas.CodeList:
        """List what each system calls a location, and when."""
        tenant = caller_of(request.scope).tenant
        await locations.node(tenant, location_id)
        return schemas.code_list(await locations.codes(tenant, location_id))

    @get(f"{_ONE}/provenance", opt=_READ, operation_id="getLocationProvenance")
    async def get_provenance(request: Request[Any, Any, Any], location_id: FromPath[str]) -> shapes.ProvenanceList:
        """Tell of each attribute where its value comes from, since when, and what the other sources say."""
        found = await locations.provenance(caller_of(request.scope).tenant, location_id)
        return shapes.provenance_list(found)

    return [list_locations, get_location, list_codes, get_provenance]


def _changing(locations: Locations) -> list[HTTPRouteHandler]:
    @post(f"{_ROOT}/locations", opt={**_WRITE, "failures": (409,)}, operation_id="addLocation")
    async def add_location(
        request: Request[Any, Any, Any], data: JSONBody[schemas.LocationInput]
    ) -> schemas.LocationView:
        """Add a location. Every worker knows it within a second, and what was parked for its codes is let in."""
        caller = caller_of(request.scope)
        may_state(caller.principal, data.source)
        made = await locations.add(caller, data.source, schemas.new_location(data))
        return schemas.location_view(made)

    @put(f"{_ONE}/statements/{{source:str}}", opt=_WRITE, operation_id="stateLocation")
    async def state_location(
        request: Request[Any, Any, Any],
        location_id: FromPath[str],
        source: FromPath[str],
        data: JSONBody[schemas.StatementInput],
    ) -> schemas.LocationView:
        """Say what a source knows of a location, in place of what it said before. Answers what counts now."""
        caller = caller_of(request.scope)
        may_state(caller.principal, source)
        change = Change(location=location_id, attributes=schemas.said_of(data), whole=True)
        made = await locations.state(caller, source, change)
        return schemas.location_view(made)

    @put(f"{_ONE}/codes/{{source:str}}", opt=_WRITE, operation_id="setLocationCodes")
    async def set_codes(
        request: Request[Any, Any, Any],
        location_id: FromPath[str],
        source: FromPath[str],
        data: JSONBody[schemas.CodesInput],
    ) -> schemas.CodeList:
        """Say what a system calls a location, in place of all its codes for it. A code means one location at a time."""
        caller = caller_of(request.scope)
        may_state(caller.principal, source)
        await locations.state(caller, source, schemas.codes_of(location_id, source, data))
        return schemas.code_list(await locations.codes(caller.tenant, location_id))

    return [add_location, state_location, set_codes]
