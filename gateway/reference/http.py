"""What every process API of master data offers: imports of files, and who owns which attribute."""

import io
from collections.abc import Mapping
from typing import Annotated, Any, Final, Protocol

from litestar import Request, Response, get, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import HeaderParameter, JSONBody, QueryParameter
from msgspec import Meta

from gateway.kernel.context import Caller
from gateway.kernel.entity_tags import entity_tag, expected_version
from gateway.kernel.exchange import Idempotency, caller_of
from gateway.reference import shapes
from gateway.reference.csv_rows import read_rows
from gateway.reference.importing import Order, TakesRows, import_rows
from gateway.reference.ownership import Matrix
from gateway.reference.readings import readings, refusals
from gateway.reference.speaking import may_state
from gateway.reference.survivorship import STEWARD, Ownership
from gateway.store.postgres import Store

_MOST_BYTES: Final = 8 << 20
CsvFile = Annotated[
    str, Meta(max_length=_MOST_BYTES, description="RFC 4180: UTF-8, a header line, commas, quotes where needed")
]
IfMatch = Annotated[str | None, HeaderParameter(name="If-Match", description="The ETag you saw.", max_length=40)]
Whose = Annotated[str, QueryParameter(min_length=1, max_length=200, description="whose word it is")]


class Imports(TakesRows, Protocol):
    """A process that takes files."""

    @property
    def store(self) -> Store:
        """Where it keeps them."""
        ...


class Masters(Imports, Protocol):
    """A process of master data, each attribute of which has an owner."""

    async def ownership(self, tenant: str) -> Matrix:
        """Who owns which attribute."""
        ...

    async def change_ownership(
        self, caller: Caller, attributes: Mapping[str, Ownership], *, expected: int, note: str
    ) -> Matrix:
        """Own `attributes` so from now on."""
        ...


def master_routes(process: Masters, api: Mapping[str, Any], *, one: str, domain: str) -> list[HTTPRouteHandler]:
    """Handlers of imports and ownership; `one` names a record in operation ids (``Location``)."""
    return [import_route(process, api, one=one, domain=domain), *_ownership_routes(process, api, one=one)]


def import_route(
    process: Imports, api: Mapping[str, Any], *, one: str, domain: str, path: str = "imports"
) -> HTTPRouteHandler:
    """The handler of imports."""

    @post(
        f"{_root(api)}/{path}",
        status_code=200,
        opt={
            **api,
            "scopes": [f"{api['api']}:write"],
            "idempotency": Idempotency.OPTIONAL,
            "cost": 20,
            "content_types": ("text/csv",),
            "body": CsvFile,
            "max_body": _MOST_BYTES,
        },
        operation_id=f"import{one}s",
    )
    async def import_file(
        request: Request[Any, Any, Any],
        source: Whose = STEWARD,
        dry_run: Annotated[bool, QueryParameter(description="change nothing, tell what would happen")] = False,
        partial: Annotated[bool, QueryParameter(description="take what can be taken, not all or none")] = False,
    ) -> shapes.ImportReport:
        """Take a CSV file: all of it or, unless `partial`, nothing. Each refused row is told with line and cause."""
        caller = caller_of(request.scope)
        may_state(caller.principal, source)
        order = Order(
            tenant=caller.tenant,
            domain=domain,
            source=source,
            actor=caller.principal.subject,
            correlation_id=caller.correlation_id,
            dry_run=dry_run,
            partial=partial,
        )
        rows = read_rows(io.BytesIO(await request.body()), process.layout)
        return shapes.report_view(await import_rows(process.store, process, rows, order))

    return import_file


def reading_routes(store: Store, api: Mapping[str, Any], *, one: str, domain: str) -> list[HTTPRouteHandler]:
    """Handlers that tell how far systems' own lists have been read, and what of them is refused."""
    read = {**api, "scopes": [f"{api['api']}:read"], "cost": 1}

    @get(f"{_root(api)}/readings", opt=read, operation_id=f"list{one}Readings")
    async def list_readings(request: Request[Any, Any, Any]) -> shapes.ReadingList:
        """Tell how far each system's own list has been read, when, and what came of it."""
        return shapes.reading_list(await readings(store, caller_of(request.scope).tenant, domain))

    @get(f"{_root(api)}/refusals", opt=read, operation_id=f"list{one}Refusals")
    async def list_refusals(
        request: Request[Any, Any, Any],
        source: Annotated[str | None, QueryParameter(min_length=1, max_length=200)] = None,
        cursor: Annotated[str | None, QueryParameter(max_length=4_000)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=200)] = 100,
    ) -> shapes.RefusedRecordPage:
        """List what of the systems' own lists is not taken, with cause and what to do, until it is mended."""
        found = await refusals(
            store, caller_of(request.scope).tenant, domain,
            source=source, after=shapes.decode_cursor(cursor), limit=limit,
        )  # fmt: skip
        return shapes.refused_page(found, limit)

    return [list_readings, list_refusals]


def _root(api: Mapping[str, Any]) -> str:
    return f"/process/{api['api']}/{api['version']}"


def _ownership_routes(process: Masters, api: Mapping[str, Any], *, one: str) -> list[HTTPRouteHandler]:
    root = _root(api)
    read = {**api, "scopes": [f"{api['api']}:read"], "cost": 1}

    @get(f"{root}/ownership", opt=read, operation_id=f"get{one}Ownership")
    async def get_ownership(request: Request[Any, Any, Any]) -> Response[shapes.OwnershipMatrix]:
        """Tell who publishes, enriches, validates and consumes each attribute."""
        matrix = await process.ownership(caller_of(request.scope).tenant)
        return Response(shapes.matrix_view(matrix), headers={"ETag": entity_tag(matrix.version)})

    own = {**api, "scopes": ["reference:own"], "cost": 5, "idempotency": Idempotency.OPTIONAL, "failures": (412, 428)}

    @put(f"{root}/ownership", opt=own, operation_id=f"set{one}Ownership")
    async def set_ownership(
        request: Request[Any, Any, Any], data: JSONBody[shapes.OwnershipChange], if_match: IfMatch = None
    ) -> Response[shapes.OwnershipMatrix]:
        """Say who owns some attributes. What counts of every record follows at once."""
        caller, expected = caller_of(request.scope), expected_version(if_match)
        matrix = await process.change_ownership(caller, shapes.ownership_of(data), expected=expected, note=data.note)
        return Response(shapes.matrix_view(matrix), headers={"ETag": entity_tag(matrix.version)})

    return [get_ownership, set_ownership]
