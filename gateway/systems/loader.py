"""Loads configured instances: `system_apis.<product>.adapter.Adapter` with strictly converted settings.

What a manifest declares and the adapter does not have, or the other way round, refuses to start.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.canonical import capabilities
from gateway.kernel.clock import Clock
from gateway.kernel.errors import Misconfigured
from gateway.outbound.door import Outbound
from gateway.systems.manifest import Manifest, ManifestLimits, load_manifest

SYSTEM_CAPABILITIES: Final[Mapping[str, type]] = {
    protocol.__name__: protocol
    for protocol in (
        capabilities.ChecksHealth,
        capabilities.ReadsItems,
        capabilities.ReadsStock,
        capabilities.ReadsCustomers,
        capabilities.ListsCustomers,
        capabilities.ReadsDemand,
        capabilities.TakesOrders,
        capabilities.CancelsTwins,
        capabilities.PostsShipments,
        capabilities.BillsShipments,
        capabilities.PostsAdjustments,
        capabilities.ReadsInvoices,
        capabilities.IssuesCredits,
        capabilities.ReadsPurchases,
        capabilities.BooksReceipts,
        capabilities.BooksSupplierInvoices,
        capabilities.ReadsSupplierInvoices,
        capabilities.ReleasesWork,
        capabilities.ReleasesTransfers,
        capabilities.ChangesStatus,
        capabilities.TakesCounts,
        capabilities.OffersFreight,
        capabilities.BooksFreight,
        capabilities.SendsWebhooks,
        capabilities.ReportsMovements,
        capabilities.ReportsMilestones,
        capabilities.PublishesAvailability,
        capabilities.ReadsChannelOrders,
        capabilities.TakesOrderUpdates,
    )
}


class LoadedSystem(Struct, frozen=True, kw_only=True, eq=False):
    """One configured instance, ready for use."""

    name: str
    product: str
    manifest: Manifest
    adapter: object

    def offers(self, capability: type) -> bool:
        """Whether its manifest declares `capability`."""
        return capability.__name__ in self.manifest.capabilities


def load_system(
    name: str,
    product: str,
    settings: Mapping[str, Any],
    *,
    outbound: Outbound,
    clock: Clock,
    processes: int = 1,
    limits: ManifestLimits | None = None,
) -> LoadedSystem:
    """One instance, within `limits` where they are not those of the manifest; `processes` share its concurrency evenly.

    Raises `Misconfigured` saying what to change.
    """
    manifest = load_manifest(product)
    typed = _settings(name, product, settings)
    session = outbound.session(name, typed.base_url, (limits or manifest.limits).for_process(processes))
    adapter = importlib.import_module(f"system_apis.{product}.adapter").Adapter(name, typed, session, clock)
    check_capabilities(manifest, adapter)
    return LoadedSystem(name=name, product=product, manifest=manifest, adapter=adapter)


def check_capabilities(manifest: Manifest, adapter: object) -> None:
    """Raise `Misconfigured` unless `adapter` has exactly the system capabilities that `manifest` declares."""
    present = {name for name, protocol in SYSTEM_CAPABILITIES.items() if isinstance(adapter, protocol)}
    declared = set(manifest.capabilities)
    if declared != present:
        raise Misconfigured(
            f"system_apis/{manifest.name}: the manifest declares {', '.join(sorted(declared - present)) or 'nothing'} "
            f"too much and {', '.join(sorted(present - declared)) or 'nothing'} too little"
        )


def _settings(name: str, product: str, settings: Mapping[str, Any]) -> Any:
    shape = importlib.import_module(f"system_apis.{product}.settings").Settings
    try:
        return msgspec.convert(dict(settings), shape)
    except msgspec.ValidationError as error:
        raise Misconfigured(f"[systems.{name}.settings]: {error}") from error
