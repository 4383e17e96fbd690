"""What an operator decides of freight: which carriers are asked, what is chosen, and what goods are taken to weigh."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

from msgspec import Struct, field

from gateway.kernel.errors import Misconfigured

Criticality = Literal["critical", "degrade"]
"""What an order does while a system beside ERP and warehouse is down: wait for it, or go on and ask it later."""
Choice = Literal["cheapest_in_time", "cheapest", "fastest"]


def _weights() -> Mapping[str, Decimal]:
    return {"KGM": Decimal(1), "GRM": Decimal("0.001"), "TNE": Decimal(1000), "LBR": Decimal("0.45359237")}


class FreightRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For orders of one `channel` (any if left out) from some `locations` (all if empty), who carries them and how.

    `carriers` are system instances; all are asked, and an offer is chosen: ``cheapest_in_time`` (that arrives by the
    requested date; where none does, the earliest), ``cheapest`` or ``fastest``. A partner in `partner_services` has its
    service, where it is offered. What costs more than `cap`, in the order's currency, is never booked by itself.
    """

    carriers: tuple[str, ...]
    channel: str | None = None
    locations: tuple[str, ...] = ()
    choose: Choice = "cheapest_in_time"
    cap: Decimal | None = None
    partner_services: Mapping[str, str] = {}

    def __post_init__(self) -> None:
        if not self.carriers:
            raise Misconfigured("freight.rules: name at least one system in carriers")
        if self.cap is not None and not self.cap >= 0:
            raise Misconfigured("freight.rules: cap is 0 or more, or left out")

    def fits(self, channel: str, location: str) -> bool:
        """Whether it is about orders of `channel` from `location`."""
        return self.channel in (None, channel) and (not self.locations or location in self.locations)


class FreightOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Freight. The first of `rules` that fits holds; where none does, nobody is asked and nothing is booked.

    `weights` are kilograms for one of a base unit; a SKU in `item_weights` has its own. Anything else is taken to weigh
    `other_weight` a piece.
    """

    rules: tuple[FreightRule, ...] = ()
    weights: Mapping[str, Decimal] = field(default_factory=_weights)
    item_weights: Mapping[str, Decimal] = {}
    other_weight: Decimal = Decimal(1)

    def __post_init__(self) -> None:
        if not all(weight > 0 for weight in (*self.weights.values(), *self.item_weights.values(), self.other_weight)):
            raise Misconfigured("freight: weights are above 0")

    def rule(self, channel: str, location: str) -> FreightRule | None:
        """The one that holds."""
        return next((rule for rule in self.rules if rule.fits(channel, location)), None)

    def weight(self, sku: str, uom: str) -> Decimal:
        """Kilograms of one base unit."""
        return self.item_weights.get(sku) or self.weights.get(uom) or self.other_weight
