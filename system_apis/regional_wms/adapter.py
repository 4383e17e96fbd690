"""The capabilities of the Regional WMS."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.canonical.capabilities import Call, Page, Report, Webhook
from gateway.canonical.order import SalesOrder, WarehouseWork, WorkState
from gateway.canonical.stock import ReportedSnapshot
from gateway.canonical.warehouse import CountOrder, StatusOrder, TransferOrder
from gateway.kernel.clock import Clock
from gateway.kernel.errors import BrokenUpstream, Conflict, NotFound
from gateway.kernel.secrets import resolve_secret
from gateway.outbound.json_api import decode
from gateway.outbound.session import Session
from system_apis.regional_wms import mapping, signature, wire
from system_apis.regional_wms.client import Client
from system_apis.regional_wms.settings import Settings

_DUPLICATE = "wms.duplicate_reference"


class Adapter:
    """One instance. `name` is the `source` of everything it reports; locations are the WMS's own warehouse codes."""

    def __init__(self, name: str, settings: Settings, session: Session, clock: Clock) -> None:
        self.name = name
        self._settings = settings
        self._clock = clock
        self._client = Client(session, resolve_secret(settings.api_key, setting=f"{name}.api_key"))
        self._secrets = [resolve_secret(settings.webhook_secret, setting=f"{name}.webhook_secret")]
        if settings.previous_webhook_secret:
            self._secrets.append(
                resolve_secret(settings.previous_webhook_secret, setting=f"{name}.previous_webhook_secret")
            )

    async def check_health(self, call: Call) -> None:
        """Reachable, and our key is accepted."""
        await self._client.status(call)

    async def read_items(self, call: Call, *, cursor: str | None = None, limit: int = 200) -> Page:
        """Items by code, with the depositor's SKU: the cross-reference."""
        return mapping.items(await self._client.items(call, after=cursor, limit=limit), self._settings.units)

    async def read_stock(self, call: Call, *, locations: Sequence[str]) -> ReportedSnapshot:
        """A full snapshot of `locations`, cut off at a sequence number."""
        stock = await self._client.stock(call, warehouses=tuple(locations))
        return mapping.snapshot(self.name, stock, self._settings.units)

    async def read_movements(self, call: Call, *, cursor: str | None) -> tuple[Report, str | None]:
        """A page of events after `cursor` (``<epoch>:<sequence>``) and the next cursor; an empty page is the end."""
        page = await self._client.events(call, after=cursor, limit=self._settings.page_size)
        return mapping.report(self.name, page.events, self._settings.units), page.next

    def parse_webhook(self, webhook: Webhook) -> Report:
        """Verify, then read."""
        signature.verify(
            webhook.headers,
            webhook.body,
            secrets=self._secrets,
            now=self._clock.now().timestamp(),
            tolerance=self._settings.tolerance_s,
        )
        try:
            delivery: wire.Delivery = decode(webhook.body, wire.Delivery)
        except ValueError:
            raise BrokenUpstream(
                f"{self.name} signed a webhook that is outside its contract", code="wms.broken_contract"
            ) from None
        return mapping.report(self.name, delivery.events, self._settings.units)

    async def find_work(self, call: Call, *, reference: str) -> WarehouseWork | None:
        """The work under our reference, which the WMS keeps unique."""
        order = await self._find(call, reference)
        return None if order is None else mapping.work(order)

    async def release_work(self, call: Call, *, order: SalesOrder, location: str) -> WarehouseWork:
        """Ask for the lines of `order` that ship from `location`; a repetition returns what the first one made."""
        return await self._release(call, mapping.new_order(order, warehouse=location, units=self._settings.units))

    async def cancel_work(self, call: Call, *, reference: str) -> WarehouseWork:
        """Cancel; raises `Conflict` (code ``wms.picking_started``) once picking began, `NotFound` when unknown."""
        present = await self._present(call, reference)
        if mapping.work(present).state is WorkState.CANCELLED:
            return mapping.work(present)
        return mapping.work(await self._client.cancel_order(call, number=present.order_number))

    async def find_transfer(self, call: Call, *, reference: str) -> WarehouseWork | None:
        """See `find_work`: orders and transfers share their references."""
        return await self.find_work(call, reference=reference)

    async def release_transfer(self, call: Call, *, order: TransferOrder) -> WarehouseWork:
        """Have goods sent to another location; a repetition returns what the first one made."""
        return await self._release(call, mapping.new_transfer(order, self._settings.units))

    async def cancel_transfer(self, call: Call, *, reference: str) -> WarehouseWork:
        """See `cancel_work`."""
        return await self.cancel_work(call, reference=reference)

    async def find_status_change(self, call: Call, *, reference: str) -> str | None:
        """The number of the change under our reference."""
        found = (await self._client.status_changes(call, reference=reference)).changes
        return found[0].change_number if found else None

    async def change_status(self, call: Call, *, order: StatusOrder) -> str:
        """Have goods held, released or written off as damaged; a repetition returns what the first one made."""
        wanted = mapping.new_status_change(order, self._settings.units)
        try:
            return (await self._client.change_status(call, wanted)).change_number
        except Conflict as conflict:
            if conflict.code != _DUPLICATE:
                raise
            [made] = (await self._client.status_changes(call, reference=order.change)).changes
            if not mapping.same_change(wanted, made):
                raise self._reused(order.change) from conflict
            return made.change_number

    async def find_count(self, call: Call, *, reference: str) -> str | None:
        """The number of the count under our reference."""
        found = (await self._client.counts(call, reference=reference)).counts
        return found[0].count_number if found else None

    async def post_count(self, call: Call, *, order: CountOrder) -> str:
        """Have figures set to what was counted; a repetition returns what the first one made."""
        wanted = mapping.new_count(order, self._settings.units)
        try:
            return (await self._client.post_count(call, wanted)).count_number
        except Conflict as conflict:
            if conflict.code != _DUPLICATE:
                raise
            [made] = (await self._client.counts(call, reference=order.count)).counts
            if not mapping.same_count(wanted, made):
                raise self._reused(order.count) from conflict
            return made.count_number

    async def _release(self, call: Call, wanted: wire.NewOrder | wire.NewTransfer) -> WarehouseWork:
        try:
            made = await self._client.create_order(call, wanted)
        except Conflict as conflict:
            if conflict.code != _DUPLICATE:
                raise
            made = await self._present(call, wanted.client_reference)
            if not mapping.same_work(wanted, made):
                raise self._reused(wanted.client_reference) from conflict
        return mapping.work(made)

    def _reused(self, reference: str) -> Conflict:
        return Conflict(
            f"{self.name} holds something else under {reference}: cancel it there or use another reference",
            code="wms.reference_reused",
        )

    async def _present(self, call: Call, reference: str) -> wire.WmsOrder:
        order = await self._find(call, reference)
        if order is None:
            raise NotFound(f"{self.name} has no work under {reference}", code="wms.work_not_found")
        return order

    async def _find(self, call: Call, reference: str) -> wire.WmsOrder | None:
        orders = (await self._client.orders(call, reference=reference)).orders
        if len(orders) > 1:
            raise BrokenUpstream(
                f"{self.name} has {len(orders)} orders under {reference}, which it promises to keep unique",
                code="wms.broken_contract",
            )
        return orders[0] if orders else None
