"""A supplier is told of its own purchase orders, signed, until it answers; and of nothing of anybody else's."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from msgspec import Struct
from standardwebhooks import Webhook, WebhookVerificationError

from experience_apis.supplier.v1.messages import SupplierMessages
from gateway.app import component_migrations
from gateway.canonical.purchase import PurchaseStatus
from gateway.identity.partners import PARTNER_SCOPES, PartnerCredentials, add_partner
from gateway.kernel.clock import SystemClock
from gateway.kernel.keyring import KeyRing
from gateway.kernel.secrets import Secret
from gateway.outbound.targets import TargetRules
from gateway.outbound.webhooks import WebhookSender
from gateway.store.postgres import Store
from process_apis.partner_notifications.process import PartnerNotifications
from process_apis.partner_notifications.rendering import RendersByMessage
from process_apis.partner_notifications.subscriptions import subscriptions
from process_apis.partner_notifications.troubles import MessageTroubles
from process_apis.procure_to_pay.models import Decision, LineClosure, SentBack
from tests.gateway.outbound.scripted_receiver import NO_CONTENT, Receiver
from tests.process_apis.procure_to_pay.conftest import World
from tests.process_apis.procure_to_pay.drawing import ack, bill

pytestmark = pytest.mark.integration
RING = KeyRing({1: Secret("test master key, long enough to be accepted")})
SUPPLIER_SCOPES = ("purchase-orders:read", "purchase-orders:write")
FAILS = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"
GONE = b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n"


class Figures:
    """Tells of availability only that it changed."""

    async def render(self, message, *, channel):
        return b'{"type": "availability.changed"}'


class Told(Struct):
    """One webhook as it arrived."""

    headers: dict[str, str]
    body: bytes

    @property
    def content(self):
        return json.loads(self.body)


class Party:
    """A partner, and the address where it receives."""

    def __init__(self, receiver: Receiver, made: PartnerCredentials) -> None:
        self.receiver, self.partner, self.secret = receiver, made.partner_id, made.webhook_secret

    @property
    def told(self):
        found = []
        for message in (each for got in self.receiver.connections for each in got):
            head, _, body = message.partition(b"\r\n\r\n")
            fields = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:]]
            found.append(Told({name.lower(): value for name, value in fields}, body))
        return found

    @property
    def occasions(self):
        return [(each.content["data"]["number"], each.content["occasion"]) for each in self.told]


class Telling:
    """The world of purchases with its notifications: events in, webhooks out."""

    def __init__(self, world: World, sender: WebhookSender) -> None:
        self.world = world
        renderer = RendersByMessage(
            {"purchase_order.updated": SupplierMessages(world.purchases), "availability.changed": Figures()}
        )
        self.notifications = PartnerNotifications(world.store, RING, renderer=renderer, sender=sender)
        self._read = 0

    async def party(self, receiver, name, scopes=SUPPLIER_SCOPES):
        async with self.world.store.transaction() as connection:
            made = await add_partner(
                connection, RING, tenant=self.world.tenant, name=name, channel="web", plan="standard",
                accounts=[name], scopes=scopes, webhook_url=receiver.url(),
            )  # fmt: skip
        return Party(receiver, made)

    async def write(self):
        """What the consumer of the log does with all that is new."""
        [subscription] = subscriptions()
        new = [each for each in await self.world.logged(".", self._read) if each.event.type in subscription.types]
        if new:
            self._read = new[-1].position.event
            async with self.world.store.transaction() as connection:
                await subscription.together(connection, new)

    async def deliver(self):
        while await self.notifications.deliver_due():
            pass

    async def make_due(self):
        await self.world.store.execute("update partner_notifications.message set next_attempt_at = now()")

    async def states(self):
        rows = await self.world.store.fetch(
            "select state, attempts from partner_notifications.message order by message"
        )
        return [(row["state"], row["attempts"]) for row in rows]


@pytest.fixture
async def telling(records, tenant, caller):
    async with records.lent(component_migrations()) as url:
        store, sender = Store(url), WebhookSender(TargetRules(loopback=True), SystemClock())
        await store.open()
        world = World(store, tenant, caller)
        await world.open()
        yield Telling(world, sender)
        await sender.close()
        await store.close()


async def test_each_supplier_hears_what_becomes_of_its_own_orders_and_of_nothing_else(telling):
    world = telling.world
    async with Receiver(NO_CONTENT) as one, Receiver(NO_CONTENT) as two, Receiver(NO_CONTENT) as three:
        first, second = await telling.party(one, "first"), await telling.party(two, "second")
        shop = await telling.party(three, "shop", PARTNER_SCOPES)
        await world.purchases.suppliers.change(world.caller, world.supplier, partner=first.partner)
        await world.onboard("SUP2", second.partner)

        deciding, dialogue, caller = world.purchases.deciding, world.purchases.dialogue, world.caller
        mine = (await world.approve("PO-1", 10, 5)).purchase
        other = (await world.approve("PO-2", 7, supplier="SUP2")).purchase
        await world.approve("PO-2", 7, supplier="SUP2", version=2, status=PurchaseStatus.CANCELLED)
        await world.approve("PO-1", 12, 5, version=2)
        answered = await dialogue.acknowledge(caller, mine, ack("A-1", (1, "IP", 12), unit_price=Decimal(30)))
        [need] = answered.needs
        await deciding.decide(caller, mine, Decision(subject=need.need.key, accept=False, reason="agreed otherwise"))
        await deciding.close_line(caller, mine, LineClosure(line=2, reason="found elsewhere"))
        await dialogue.acknowledge(caller, mine, ack("A-2", (1, "IA", 12), sequence=2))
        await world.receive("PO-1", 144)
        await dialogue.bill(caller, mine, bill("INV-1", (1, 12, 30)))
        await deciding.send_back(caller, mine, SentBack(number="R-1", line=1, amount=Decimal(2), reason="broken"))
        await telling.write()
        await telling.deliver()

    # Written in one go they may come in any order, and each tells the order as it is.
    happened = {"ordered", "changed", "decided", "line_closed", "received", "invoice_blocked", "sent_back"}
    assert set(first.occasions) == {("PO-1", each) for each in happened}
    assert sorted(second.occasions) == [("PO-2", "cancelled"), ("PO-2", "ordered")]
    # The stock that came in is told to who may read it, and to no supplier.
    assert {each.content["type"] for each in shop.told} == {"availability.changed"}

    for own, purchase, foreign in ((first, mine, (second, other)), (second, other, (first, mine))):
        verifies, refuses = Webhook(own.secret), Webhook(foreign[0].secret)
        for each in own.told:
            assert verifies.verify(each.body, each.headers)["type"] == "purchase_order.updated"
            with pytest.raises(WebhookVerificationError):
                refuses.verify(each.body, each.headers)
            assert each.content["data"]["id"] == purchase
            assert foreign[1].encode() not in each.body
    # What is told is the order as it is when it is told: as the door shows it.
    last = first.told[-1].content["data"]
    assert (last["lines"][0]["accepted"], last["invoices"][0]["verdict"]) == ("10", "blocked")


async def test_who_speaks_for_a_supplier_no_more_is_told_nothing_of_what_still_waits(telling):
    world = telling.world
    async with Receiver(NO_CONTENT) as one, Receiver(NO_CONTENT) as two:
        before, after = await telling.party(one, "before"), await telling.party(two, "after")
        await world.purchases.suppliers.change(world.caller, world.supplier, partner=before.partner)
        await world.approve("PO-1", 10)
        await telling.write()
        await world.purchases.suppliers.change(world.caller, world.supplier, partner=after.partner)
        await telling.deliver()
        assert (before.told, await telling.states()) == ([], [("abandoned", 1)])
        await world.approve("PO-1", 12, version=2)
        await telling.write()
        await telling.deliver()
    assert (before.told, after.occasions) == ([], [("PO-1", "changed")])


async def test_a_suppliers_address_that_fails_is_tried_again_and_one_that_is_gone_is_told_to_people(telling):
    world = telling.world
    async with Receiver(FAILS, NO_CONTENT, GONE) as there:
        supplier = await telling.party(there, "one")
        await world.purchases.suppliers.change(world.caller, world.supplier, partner=supplier.partner)
        await world.approve("PO-1", 10)
        await telling.write()
        await telling.deliver()
        assert await telling.states() == [("waiting", 1)]
        await world.approve("PO-1", 12, version=2)  # meanwhile: the retry tells the order as it is by then
        await telling.make_due()
        await telling.deliver()
        failed, again = supplier.told
        assert failed.headers["webhook-id"] == again.headers["webhook-id"]
        assert [each.content["data"]["lines"][0]["amount"] for each in (failed, again)] == ["10", "12"]

        await telling.write()
        await telling.deliver()
        assert await telling.states() == [("delivered", 2), ("abandoned", 1)]
        async with world.store.connection() as connection:
            [trouble] = await MessageTroubles().troubles(connection, world.tenant, limit=10)
        assert (trouble.code, trouble.fault_domain, trouble.count) == ("webhook.given_up", supplier.partner, 1)
        await world.approve("PO-1", 14, version=3)
        await telling.write()
        assert len(await telling.states()) == 2
