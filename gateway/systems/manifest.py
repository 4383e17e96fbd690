"""The schema of an adapter's `manifest.toml`: what it is and what it promises, readable without importing it.

`system_apis/<product>/manifest.toml` is decoded strictly into `Manifest`; `tests/architecture/` and
`tests/conformance/` check that it tells the truth.
"""

from __future__ import annotations

import tomllib
from datetime import timedelta
from enum import StrEnum
from importlib.resources import files
from typing import Final

import msgspec
from msgspec import Struct

from gateway.canonical import capabilities
from gateway.canonical.order import ExternalReference
from gateway.kernel.errors import Misconfigured
from gateway.outbound.budget import WhenCacheDown
from gateway.outbound.limits import SystemLimits

_QUALITY_RULES: Final = (
    "recorded-fixtures",
    "real-product",
    "external-reference",
    "error-sorting",
    "exact-decimals",
    "odd-codes",
    "rate-limits",
    "catch-up",
)


class Standing(StrEnum):
    """How an adapter stands towards one rule of the quality checklist."""

    DONE = "done"
    TODO = "todo"
    EXEMPT = "exempt"


class Quality(Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the quality checklist; `exempt` needs a `reason`."""

    rule: str
    standing: Standing
    reason: str = ""

    def __post_init__(self) -> None:
        if self.standing is Standing.EXEMPT and not self.reason:
            raise ValueError(f"quality rule {self.rule}: exempt needs a reason")


class ManifestLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """What the vendor bears: requests per second over all processes (none stated: 0), in flight, and per batch.

    `when_cache_down` says how the rate is kept while processes cannot share it.
    """

    rate_per_s: float = 0.0
    burst: int = 1
    concurrency: int = 4
    batch_size: int = 1
    when_cache_down: WhenCacheDown = WhenCacheDown.LOCAL_SHARE

    def for_process(self, processes: int) -> SystemLimits:
        """What one of `processes` processes keeps to: its part of the concurrency, and the rate that all share."""
        return SystemLimits(
            rate=self.rate_per_s or None,
            burst=self.burst,
            when_cache_down=self.when_cache_down,
            concurrency=max(1, self.concurrency // processes),
        )


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One adapter. `capabilities` are Protocol names of `gateway.canonical.capabilities`.

    `events` are the movement types it can report; `external_reference` and `settle_time_s` (seconds) describe orders
    and work submitted under our reference (`semantics.md` 4).
    """

    name: str
    title: str
    summary: str
    vendor: str
    vendor_versions: tuple[str, ...]
    protocols: tuple[str, ...]
    capabilities: tuple[str, ...]
    events: tuple[str, ...] = ()
    external_reference: ExternalReference = ExternalReference.NONE
    settle_time_s: float = 0.0
    licence: str
    licence_note: str = ""
    owner: str = "integration"
    limits: ManifestLimits = ManifestLimits()
    quality: tuple[Quality, ...] = ()

    def __post_init__(self) -> None:
        unknown = [name for name in self.capabilities if not hasattr(capabilities, name)]
        if unknown:
            raise ValueError(f"unknown capabilities: {', '.join(unknown)}")
        rules = [entry.rule for entry in self.quality]
        if sorted(rules) != sorted(_QUALITY_RULES):
            raise ValueError(f"the quality checklist must state each of {', '.join(_QUALITY_RULES)} once")

    @property
    def settle_time(self) -> timedelta:
        """How long the system may take until something it accepted can be found."""
        return timedelta(seconds=self.settle_time_s)


def load_manifest(product: str) -> Manifest:
    """The manifest of `system_apis.<product>`; raises `Misconfigured` saying what is wrong with it."""
    try:
        text = files(f"system_apis.{product}").joinpath("manifest.toml").read_text(encoding="utf-8")
    except (ModuleNotFoundError, FileNotFoundError):
        raise Misconfigured(
            f"there is no adapter {product!r}: a folder system_apis/{product} with a manifest"
        ) from None
    return parse_manifest(text, product=product)


def parse_manifest(text: str, *, product: str) -> Manifest:
    """Decode a manifest strictly."""
    try:
        return msgspec.convert(tomllib.loads(text), Manifest)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, ValueError) as error:
        raise Misconfigured(f"system_apis/{product}/manifest.toml: {error}") from error
