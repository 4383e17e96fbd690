"""Who owns what is served: the description of each API version, for its contract and the catalogue."""

from __future__ import annotations

from collections.abc import Sequence

from litestar.handlers import HTTPRouteHandler

from experience_apis.storefront.v1 import schemas as storefront
from gateway.contracts.api import Api, Webhook
from gateway.edge.catalogue import CatalogueEntry
from gateway.systems.manifest import Manifest


def storefront_api(version: str, handlers: Sequence[HTTPRouteHandler]) -> Api:
    """The storefront in one version."""
    return Api(
        layer="experience",
        name="storefront",
        version=version,
        facing="partner",
        title="Storefront",
        description="What a selling partner needs: items, availability, orders, and how they fare.",
        business_owner="Commerce",
        technical_owner="Integration",
        handlers=tuple(handlers),
        webhooks=(
            Webhook(name="availability.changed", payload=storefront.AvailabilityChanged),
            Webhook(name="order.updated", payload=storefront.OrderUpdated),
        ),
    )


def process_api(name: str, title: str, description: str, handlers: Sequence[HTTPRouteHandler]) -> Api:
    """A process API in its first version."""
    return Api(
        layer="process",
        name=name,
        version="v1",
        facing="internal",
        title=title,
        description=description,
        business_owner="Operations",
        technical_owner="Integration",
        handlers=tuple(handlers),
    )


def system_api(manifest: Manifest, handlers: Sequence[HTTPRouteHandler]) -> Api:
    """A system API, generated from what the adapter's manifest declares."""
    return Api(
        layer="system",
        name=manifest.name.replace("_", "-"),
        version="v1",
        facing="system",
        title=f"{manifest.title} system API",
        description=f"{manifest.summary} Generated from the adapter's capabilities.",
        business_owner="Operations",
        technical_owner=manifest.owner,
        handlers=tuple(handlers),
    )


def catalogue_entry(api: Api) -> CatalogueEntry:
    """Where an API version begins (RFC 9727)."""
    anchor = f"/{api.name}/{api.version}" if api.layer == "experience" else f"/{api.layer}/{api.name}/{api.version}"
    return CatalogueEntry(anchor=anchor, title=api.title)
