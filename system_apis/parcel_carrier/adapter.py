"""The capabilities of a parcel carrier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from gateway.canonical.capabilities import Call, Report, Webhook
from gateway.canonical.freight import Booking, Consignment, FreightOption
from gateway.kernel.clock import Clock
from gateway.kernel.errors import BrokenUpstream, Conflict, NotAuthenticated, NotFound
from gateway.kernel.secrets import resolve_secret
from gateway.outbound.json_api import decode
from gateway.outbound.session import Session
from system_apis.parcel_carrier import mapping, wire
from system_apis.parcel_carrier.client import Client
from system_apis.parcel_carrier.settings import Settings

_DUPLICATE: Final = "carrier.duplicate_reference"


class Adapter:
    """One account. `ship_from` of what it is asked is the carrier's own depot code."""

    def __init__(self, name: str, settings: Settings, session: Session, _: Clock) -> None:
        self.name = name
        self._settings = settings
        self._client = Client(session, resolve_secret(settings.api_key, setting=f"{name}.api_key"))
        secrets = [("webhook_secret", settings.webhook_secret)]
        if settings.previous_webhook_secret:
            secrets.append(("previous_webhook_secret", settings.previous_webhook_secret))
        self._verifiers = [
            Verifier(resolve_secret(reference, setting=f"{name}.{setting}").reveal().encode())
            for setting, reference in secrets
        ]

    async def check_health(self, call: Call) -> None:
        """Reachable, and our key is accepted."""
        await self._client.account(call)

    async def quote_freight(self, call: Call, *, consignment: Consignment) -> Sequence[FreightOption]:
        """What each service that serves the address costs; none where no service does."""
        return mapping.options(await self._client.rates(call, mapping.rate_request(consignment)))

    async def find_booking(self, call: Call, *, reference: str) -> Booking | None:
        """The booking under our reference, which the carrier keeps unique."""
        found = (await self._client.shipments(call, reference=reference)).shipments
        return mapping.booking(found[0]) if found else None

    async def book_freight(self, call: Call, *, consignment: Consignment, service: str) -> Booking:
        """Have it taken on; a repetition returns what the first one made, other content is a `Conflict`."""
        wanted = mapping.new_shipment(consignment, service)
        try:
            return mapping.booking(await self._client.create_shipment(call, wanted))
        except Conflict as conflict:
            if conflict.code != _DUPLICATE:
                raise
            made = (await self._client.shipments(call, reference=consignment.reference)).shipments
            if not made or not mapping.is_same(wanted, made[0]):
                raise Conflict(
                    f"the carrier has other goods under {consignment.reference}: look there", code="carrier.clashed"
                ) from conflict
            return mapping.booking(made[0])

    async def cancel_booking(self, call: Call, *, reference: str) -> Booking:
        """Cancel; raises `Conflict` (code ``carrier.already_collected``) once collected, `NotFound` when unknown."""
        found = await self.find_booking(call, reference=reference)
        if found is None:
            raise NotFound(f"the carrier has nothing under {reference}", code="carrier.not_found")
        if found.cancelled:
            return found
        return mapping.booking(await self._client.void_shipment(call, number=found.number))

    async def read_milestones(self, call: Call, *, cursor: str | None) -> tuple[Report, str | None]:
        """A page of tracking events after `cursor`, and the next cursor; an empty page is the end and repeats it."""
        page = await self._client.tracking_events(call, after=cursor, limit=self._settings.page_size)
        return mapping.report(self.name, page.events), page.next

    def parse_webhook(self, webhook: Webhook) -> Report:
        """Verify (Standard Webhooks 1.0), then read."""
        if not any([_is_genuine(verifier, webhook) for verifier in self._verifiers]):  # noqa: C419 - each is tried, so that time tells nothing
            raise NotAuthenticated(
                "the webhook is refused: its signature fits no secret that we know, or is older than five minutes",
                code="webhook.bad_signature",
            )
        try:
            event: wire.TrackingEvent = decode(webhook.body, wire.TrackingEvent)
        except ValueError:
            raise BrokenUpstream(
                f"{self.name} signed a webhook that is outside its contract", code="carrier.broken_contract"
            ) from None
        return mapping.report(self.name, [event])


def _is_genuine(verifier: Verifier, webhook: Webhook) -> bool:
    try:
        verifier.verify(webhook.body, dict(webhook.headers), json_parse=False)
    except (WebhookVerificationError, ValueError):  # the library splits and decodes what it is given without asking
        return False
    return True
