"""One route generator per writing capability.

Every write looks first and bears our reference, so that a repetition finds what the first one made; two at once for
one order exclude each other. That is why `Idempotency-Key` is optional here.
"""

from typing import Annotated, Any

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody, QueryParameter

from gateway.canonical.capabilities import PostsShipments, ReleasesWork, TakesOrders
from gateway.kernel.errors import NotFound
from gateway.systems import system_mapping as mapping
from gateway.systems import system_shapes as shapes
from gateway.systems.system_context import ProductApi, call_of


def orders(api: ProductApi) -> list[HTTPRouteHandler]:
    """`TakesOrders`."""

    @get(api.path("orders"), opt=api.read_opt(cost=2), operation_id="findOrder")
    async def find_order(
        request: Request[Any, Any, Any],
        instance: FromPath[str],
        reference: Annotated[str, QueryParameter(min_length=1, max_length=64)],
    ) -> shapes.OrderView:
        found = await api.our(instance, TakesOrders).find_order(call_of(request), reference=reference)
        if found is None:
            raise NotFound(f"{instance} has no order under {reference}", code="system.order_not_found")
        return mapping.order(found)

    @post(api.path("orders"), opt=api.write_opt(), operation_id="submitOrder")
    async def submit_order(
        request: Request[Any, Any, Any], instance: FromPath[str], data: JSONBody[shapes.OrderInput]
    ) -> shapes.OrderView:
        erp, call = api.our(instance, TakesOrders), call_of(request)
        async with api.exclusive(data.reference):
            found = await erp.find_order(call, reference=data.reference)
            if found is not None and (found.ready or found.cancelled):
                return mapping.order(found)
            return mapping.order(await erp.submit_order(call, order=mapping.sales_order(data, tenant=call.tenant)))

    @post(
        api.path("order-cancellations"),
        status_code=200,
        opt=api.write_opt(),
        operation_id="cancelOrder",
    )
    async def cancel_order(
        request: Request[Any, Any, Any], instance: FromPath[str], data: JSONBody[shapes.CancellationInput]
    ) -> shapes.OrderView:
        erp = api.our(instance, TakesOrders)
        async with api.exclusive(data.reference):
            return mapping.order(await erp.cancel_order(call_of(request), reference=data.reference))

    return [find_order, submit_order, cancel_order]


def postings(api: ProductApi) -> list[HTTPRouteHandler]:
    """`PostsShipments`."""

    @get(api.path("shipment-postings"), opt=api.read_opt(cost=2), operation_id="findPosting")
    async def find_posting(
        request: Request[Any, Any, Any],
        instance: FromPath[str],
        reference: Annotated[str, QueryParameter(min_length=1, max_length=64)],
        posting: Annotated[str, QueryParameter(min_length=1, max_length=64)],
    ) -> shapes.ShipmentView:
        erp = api.our(instance, PostsShipments)
        found = await erp.find_posting(call_of(request), reference=reference, posting=posting)
        if found is None:
            raise NotFound(f"{instance} has no posting {posting} of {reference}", code="system.posting_not_found")
        return mapping.shipment(found)

    @post(api.path("shipment-postings"), opt=api.write_opt(), operation_id="postShipment")
    async def post_shipment(
        request: Request[Any, Any, Any], instance: FromPath[str], data: JSONBody[shapes.PostingInput]
    ) -> shapes.ShipmentView:
        erp, call = api.our(instance, PostsShipments), call_of(request)
        async with api.exclusive(data.reference):
            found = await erp.find_posting(call, reference=data.reference, posting=data.posting)
            if found is not None:
                return mapping.shipment(found)
            made = await erp.post_shipment(
                call,
                reference=data.reference,
                posting=data.posting,
                location=data.location,
                lines=mapping.shipped_lines(data),
            )
            return mapping.shipment(made)

    return [find_posting, post_shipment]


def work(api: ProductApi) -> list[HTTPRouteHandler]:
    """`ReleasesWork`."""

    @get(api.path("work-orders"), opt=api.read_opt(cost=2), operation_id="findWork")
    async def find_work(
        request: Request[Any, Any, Any],
        instance: FromPath[str],
        reference: Annotated[str, QueryParameter(min_length=1, max_length=64)],
    ) -> shapes.WorkView:
        found = await api.our(instance, ReleasesWork).find_work(call_of(request), reference=reference)
        if found is None:
            raise NotFound(f"{instance} has no work under {reference}", code="system.work_not_found")
        return mapping.work(found)

    @post(api.path("work-orders"), opt=api.write_opt(), operation_id="releaseWork")
    async def release_work(
        request: Request[Any, Any, Any], instance: FromPath[str], data: JSONBody[shapes.WorkInput]
    ) -> shapes.WorkView:
        warehouse, call = api.our(instance, ReleasesWork), call_of(request)
        order = mapping.sales_order(data.order, tenant=call.tenant)
        async with api.exclusive(order.order):
            return mapping.work(await warehouse.release_work(call, order=order, location=data.location))

    @post(
        api.path("work-order-cancellations"),
        status_code=200,
        opt=api.write_opt(),
        operation_id="cancelWork",
    )
    async def cancel_work(
        request: Request[Any, Any, Any], instance: FromPath[str], data: JSONBody[shapes.CancellationInput]
    ) -> shapes.WorkView:
        warehouse = api.our(instance, ReleasesWork)
        async with api.exclusive(data.reference):
            return mapping.work(await warehouse.cancel_work(call_of(request), reference=data.reference))

    return [find_work, release_work, cancel_work]
