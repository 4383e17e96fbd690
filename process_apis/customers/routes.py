"""The process API of customers, for internal applications and stewards of master data."""

from typing import Annotated, Any, Final

from litestar import Request, get, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody, QueryParameter

from gateway.kernel.errors import Rejected
from gateway.kernel.exchange import Idempotency, caller_of
from gateway.reference import shapes
from gateway.reference.http import master_routes, reading_routes
from gateway.reference.speaking import may_state
from process_apis.customers import schemas
from process_apis.customers.models import DOMAIN
from process_apis.customers.process import Customers

_API: Final[dict[str, Any]] = {"zone": "process", "tenant_aware": True, "api": "customers", "version": "v1"}
_READ: Final = {**_API, "scopes": ["customers:read"], "cost": 1}
_WRITE: Final = {**_API, "scopes": ["customers:write"], "cost": 5, "idempotency": Idempotency.OPTIONAL}
_ROOT: Final = "/process/customers/v1"
_ONE: Final = f"{_ROOT}/customers/{{customer_id:str}}"
Name = Annotated[str | None, QueryParameter(min_length=1, max_length=200)]


def routes(customers: Customers) -> list[HTTPRouteHandler]:
    """Handlers bound to the process."""
    return [
        *_reading(customers),
        *_changing(customers),
        *master_routes(customers, _API, one="Customer", domain=DOMAIN),
        *reading_routes(customers.store, _API, one="Customer", domain=DOMAIN),
    ]


def _reading(customers: Customers) -> list[HTTPRouteHandler]:
    @get(f"{_ROOT}/customers", opt=_READ, operation_id="listCustomers")
    async def list_customers(
        request: Request[Any, Any, Any],
        number: Name = None,
        source: Name = None,
        code: Name = None,
        parent: Annotated[
            str | None, QueryParameter(max_length=64, description="those that belong to the customer of this number")
        ] = None,
        cursor: Annotated[str | None, QueryParameter(max_length=40)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=200)] = 100,
    ) -> schemas.CustomerPage:
        """List customers: all, those of one parent, the one with a number, or the one that `source` calls `code`."""
        tenant = caller_of(request.scope).tenant
        if (source is None) is not (code is None):
            raise Rejected("a code means something to its source only: give both", code="customer.code_alone")
        if source is not None and code is not None:
            found = await customers.by_code(tenant, source, code)
        elif number is not None:
            found = await customers.by_number(tenant, number)
        else:
            found = await customers.page(tenant, after=cursor, limit=limit, parent=parent)
            more = found[-1].customer if len(found) == limit else None
            return schemas.CustomerPage(items=[schemas.customer_view(each) for each in found], next_cursor=more)
        return schemas.CustomerPage(items=[schemas.customer_view(each) for each in found], next_cursor=None)

    @get(_ONE, opt=_READ, operation_id="getCustomer")
    async def get_customer(request: Request[Any, Any, Any], customer_id: FromPath[str]) -> schemas.AccountView:
        """Read a customer with what it inherits and each system's code for it."""
        return schemas.account_view(await customers.account(caller_of(request.scope).tenant, customer_id))

    @get(f"{_ONE}/provenance", opt=_READ, operation_id="getCustomerProvenance")
    async def get_provenance(request: Request[Any, Any, Any], customer_id: FromPath[str]) -> shapes.ProvenanceList:
        """Tell of each attribute where its value comes from, since when, and what the other sources say."""
        return shapes.provenance_list(await customers.provenance(caller_of(request.scope).tenant, customer_id))

    return [list_customers, get_customer, get_provenance]


def _changing(customers: Customers) -> list[HTTPRouteHandler]:
    @post(f"{_ROOT}/customers", opt={**_WRITE, "failures": (409,)}, operation_id="addCustomer")
    async def add_customer(
        request: Request[Any, Any, Any], data: JSONBody[schemas.CustomerInput]
    ) -> schemas.AccountView:
        """Add a customer."""
        caller = caller_of(request.scope)
        may_state(caller.principal, data.source)
        return schemas.account_view(await customers.add(caller, data.source, schemas.new_customer(data)))

    @put(f"{_ONE}/statements/{{source:str}}", opt=_WRITE, operation_id="stateCustomer")
    async def state_customer(
        request: Request[Any, Any, Any],
        customer_id: FromPath[str],
        source: FromPath[str],
        data: JSONBody[schemas.CustomerStatement],
    ) -> schemas.AccountView:
        """Say what a source knows of a customer, in place of what it said before. Answers what counts now."""
        caller = caller_of(request.scope)
        may_state(caller.principal, source)
        return schemas.account_view(await customers.state(caller, source, customer_id, schemas.said_of(data)))

    @put(f"{_ONE}/codes/{{source:str}}", opt=_WRITE, operation_id="addCustomerCode")
    async def add_code(
        request: Request[Any, Any, Any],
        customer_id: FromPath[str],
        source: FromPath[str],
        data: JSONBody[schemas.CustomerCodeInput],
    ) -> schemas.AccountView:
        """Say what a system calls a customer, beside its other codes for it. A code means one customer."""
        caller = caller_of(request.scope)
        may_state(caller.principal, source)
        return schemas.account_view(await customers.add_code(caller, source, customer_id, data.code))

    return [add_customer, state_customer, add_code]
