"""The conformance suite. An adapter inherits it in three lines: see `test_regional_wms.py`.

What an adapter is tested for is what its manifest declares: a capability without cases fails the suite itself.
"""

from __future__ import annotations

from gateway.systems.loader import check_capabilities
from gateway.systems.manifest import load_manifest
from tests.conformance import freighting, reading, writing


class EveryAdapter:
    """What holds whatever is declared."""

    def test_the_adapter_has_what_its_manifest_declares_and_declares_what_it_has(self, bench):
        check_capabilities(load_manifest(bench.counterpart.product), bench.adapter)

    def test_what_the_manifest_says_of_references_is_what_the_adapter_says(self, bench):
        manifest = load_manifest(bench.counterpart.product)
        if "TakesOrders" in manifest.capabilities:
            assert bench.adapter.external_reference is manifest.external_reference
            assert bench.adapter.settle_time.total_seconds() > 0


def conformance(product: str, *, recorded: bool = False) -> tuple[type, ...]:
    """The cases of everything that the manifest of `product` declares; from records, those that can be played."""
    cases = (EveryAdapter, *(_cases_of(name) for name in load_manifest(product).capabilities))
    return tuple(_playable(case) for case in cases) if recorded else cases


def _cases_of(capability: str) -> type:
    for module in (reading, writing, freighting):
        if (found := getattr(module, f"{capability}Cases", None)) is not None:
            return found
    raise LookupError(f"{capability} is declared and has no cases here: write {capability}Cases")


def _playable(case: type) -> type:
    live = {name: None for name, test in vars(case).items() if getattr(test, "live_only", False)}
    return type(f"Recorded{case.__name__}", (case,), live)
