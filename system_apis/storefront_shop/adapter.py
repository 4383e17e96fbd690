"""The capabilities of a storefront shop."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.canonical.capabilities import Call
from gateway.canonical.channel import (
    ChannelOrderPage,
    ChannelUpdate,
    Published,
    PublishedFigure,
    ShownFigure,
    WantedFigure,
)
from gateway.kernel.clock import Clock
from gateway.kernel.secrets import resolve_secret
from gateway.outbound.session import Session
from system_apis.storefront_shop import mapping, wire
from system_apis.storefront_shop.client import Client
from system_apis.storefront_shop.settings import Settings


class Adapter:
    """One shop."""

    def __init__(self, name: str, settings: Settings, session: Session, _: Clock) -> None:
        self.name = name
        self._settings = settings
        self._client = Client(session, resolve_secret(settings.access_key, setting=f"{name}.access_key"))

    @property
    def figures_per_call(self) -> int:
        """How many figures one call takes."""
        return self._settings.batch_size

    @property
    def compares(self) -> bool:
        """Whether a figure is set only while it is as it was read."""
        return self._settings.writes == "compare"

    async def check_health(self, call: Call) -> None:
        """Reachable, and our key is accepted."""
        await self._client.shop(call)

    async def read_figures(self, call: Call, *, skus: Sequence[str]) -> Sequence[ShownFigure]:
        """What the shop shows of `skus`; what it does not sell is left out."""
        return mapping.shown(await self._client.levels(call, skus=skus)) if skus else []

    async def publish_figures(self, call: Call, *, figures: Sequence[WantedFigure]) -> Sequence[PublishedFigure]:
        """Set figures, each only at the version it was read at; by feed, whatever the shop shows now."""
        if not figures:
            return []
        if self.compares:
            return mapping.published(await self._client.set_levels(call, levels=mapping.new_levels(figures)))
        await self._client.feed_levels(call, levels=[wire.FeedLevel(figure.sku, figure.quantity) for figure in figures])
        return [PublishedFigure(sku=figure.sku, became=Published.TAKEN) for figure in figures]

    async def read_channel_orders(self, call: Call, *, cursor: str | None) -> ChannelOrderPage:
        """What happened to the shop's orders after `cursor`; an empty page is the end and repeats it."""
        return mapping.orders(await self._client.order_events(call, after=cursor, limit=self._settings.page_size))

    async def update_order(self, call: Call, *, update: ChannelUpdate) -> None:
        """Tell what left, what will not come, its parcels and its date; the same update again changes nothing."""
        await self._client.update_order(call, order=update.reference, update=mapping.order_update(update))
