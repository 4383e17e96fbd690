"""One route generator per reading capability."""

from typing import Annotated, Any

from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter

from gateway.canonical.capabilities import (
    ChecksHealth,
    ListsCustomers,
    PublishesAvailability,
    ReadsChannelOrders,
    ReadsCustomers,
    ReadsDemand,
    ReadsItems,
    ReadsStock,
    ReportsMovements,
)
from gateway.systems import system_mapping as mapping
from gateway.systems import system_shapes as shapes
from gateway.systems.system_context import ProductApi, call_of


def health(api: ProductApi) -> list[HTTPRouteHandler]:
    """`ChecksHealth`."""

    @get(api.path("health"), opt=api.read_opt(), operation_id="checkHealth")
    async def check_health(request: Request[Any, Any, Any], instance: FromPath[str]) -> shapes.HealthView:
        await api.ask(instance, ChecksHealth).check_health(call_of(request))
        return shapes.HealthView(instance=instance, status="up")

    return [check_health]


def items(api: ProductApi) -> list[HTTPRouteHandler]:
    """`ReadsItems`."""

    @get(api.path("items"), opt=api.read_opt(cost=5), operation_id="listItems")
    async def list_items(
        request: Request[Any, Any, Any],
        instance: FromPath[str],
        cursor: Annotated[str | None, QueryParameter(max_length=200)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=200)] = 100,
    ) -> shapes.ItemPageView:
        reader = api.ask(instance, ReadsItems)
        return mapping.item_page(await reader.read_items(call_of(request), cursor=cursor, limit=limit))

    return [list_items]


def stock(api: ProductApi) -> list[HTTPRouteHandler]:
    """`ReadsStock`."""

    @get(api.path("stock"), opt=api.read_opt(cost=10), operation_id="readStock")
    async def read_stock(
        request: Request[Any, Any, Any],
        instance: FromPath[str],
        location: Annotated[
            str, QueryParameter(min_length=1, max_length=100, description="The system's own location code.")
        ],
    ) -> shapes.StockView:
        reader = api.ask(instance, ReadsStock)
        return mapping.stock(await reader.read_stock(call_of(request), locations=[location]))

    return [read_stock]


def customers(api: ProductApi) -> list[HTTPRouteHandler]:
    """`ReadsCustomers`."""

    @get(api.path("customers"), opt=api.read_opt(cost=2), operation_id="readCustomer")
    async def read_customer(
        request: Request[Any, Any, Any],
        instance: FromPath[str],
        code: Annotated[str, QueryParameter(min_length=1, max_length=100)],
    ) -> shapes.CustomerView:
        reader = api.ask(instance, ReadsCustomers)
        return mapping.customer(await reader.read_customer(call_of(request), code=code))

    return [read_customer]


def customer_list(api: ProductApi) -> list[HTTPRouteHandler]:
    """`ListsCustomers`."""

    @get(api.path("customer-list"), opt=api.read_opt(cost=5), operation_id="listCustomers")
    async def list_customers(
        request: Request[Any, Any, Any],
        instance: FromPath[str],
        cursor: Annotated[str | None, QueryParameter(max_length=200)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=200)] = 100,
    ) -> shapes.CustomerListView:
        lister = api.ask(instance, ListsCustomers)
        return mapping.customer_list(await lister.list_customers(call_of(request), cursor=cursor, limit=limit))

    return [list_customers]


def demand(api: ProductApi) -> list[HTTPRouteHandler]:
    """`ReadsDemand`."""

    @get(api.path("demand"), opt=api.read_opt(cost=10), operation_id="readDemand")
    async def read_demand(request: Request[Any, Any, Any], instance: FromPath[str]) -> shapes.DemandView:
        return mapping.demand(await api.ask(instance, ReadsDemand).read_demand(call_of(request)))

    return [read_demand]


def movements(api: ProductApi) -> list[HTTPRouteHandler]:
    """`ReportsMovements`."""

    @get(api.path("movements"), opt=api.read_opt(cost=5), operation_id="listMovements")
    async def list_movements(
        request: Request[Any, Any, Any],
        instance: FromPath[str],
        cursor: Annotated[str | None, QueryParameter(max_length=200)] = None,
    ) -> shapes.MovementPageView:
        reader = api.ask(instance, ReportsMovements)
        report, following = await reader.read_movements(call_of(request), cursor=cursor)
        return mapping.movements(report, following)

    return [list_movements]


def figures(api: ProductApi) -> list[HTTPRouteHandler]:
    """`PublishesAvailability`: what is shown. What is to be shown is for `channel_publication` alone."""

    @get(api.path("figures"), opt=api.read_opt(), operation_id="readFigure")
    async def read_figure(
        request: Request[Any, Any, Any],
        instance: FromPath[str],
        sku: Annotated[str, QueryParameter(min_length=1, max_length=100)],
    ) -> shapes.ChannelFiguresView:
        channel = api.ask(instance, PublishesAvailability)
        return mapping.channel_figures(await channel.read_figures(call_of(request), skus=[sku]))

    return [read_figure]


def channel_orders(api: ProductApi) -> list[HTTPRouteHandler]:
    """`ReadsChannelOrders`."""

    @get(api.path("channel-orders"), opt=api.read_opt(cost=5), operation_id="listChannelOrders")
    async def list_channel_orders(
        request: Request[Any, Any, Any],
        instance: FromPath[str],
        cursor: Annotated[str | None, QueryParameter(max_length=200)] = None,
    ) -> shapes.ChannelOrderPageView:
        channel = api.ask(instance, ReadsChannelOrders)
        return mapping.channel_orders(await channel.read_channel_orders(call_of(request), cursor=cursor))

    return [list_channel_orders]
