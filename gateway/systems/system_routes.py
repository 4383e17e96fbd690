"""System APIs, generated: what a product's manifest declares is what its API serves; adapters hold no handlers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from litestar.handlers import HTTPRouteHandler

from gateway.systems import system_reads, system_writes
from gateway.systems.directory import Directory
from gateway.systems.exclusive import Exclusive
from gateway.systems.manifest import Manifest
from gateway.systems.system_context import ProductApi

_GENERATORS: Final[Mapping[str, Callable[[ProductApi], list[HTTPRouteHandler]]]] = {
    "ChecksHealth": system_reads.health,
    "ReadsItems": system_reads.items,
    "ReadsStock": system_reads.stock,
    "ReadsCustomers": system_reads.customers,
    "ListsCustomers": system_reads.customer_list,
    "ReadsDemand": system_reads.demand,
    "ReportsMovements": system_reads.movements,
    "PublishesAvailability": system_reads.figures,
    "ReadsChannelOrders": system_reads.channel_orders,
    "TakesOrders": system_writes.orders,
    "PostsShipments": system_writes.postings,
    "ReleasesWork": system_writes.work,
}


def product_routes(manifest: Manifest, directory: Directory, exclusive: Exclusive) -> list[HTTPRouteHandler]:
    """The routes of one product for all its instances; the contract does not depend on which are configured."""
    api = ProductApi(manifest.name, directory, exclusive)
    return [
        handler
        for capability, generate in _GENERATORS.items()
        if capability in manifest.capabilities
        for handler in generate(api)
    ]


def system_routes(directory: Directory, exclusive: Exclusive) -> Mapping[str, list[HTTPRouteHandler]]:
    """Routes by product, for every product that is configured."""
    manifests = {system.product: system.manifest for system in directory.systems}
    return {product: product_routes(manifest, directory, exclusive) for product, manifest in manifests.items()}
