"""Purchases of a distributor in every sort of trouble, made by the process itself."""

from gateway.durable.schema import migrate_durable
from gateway.kernel.context import Caller, Principal, Zone
from gateway.kernel.errors import Rejected
from tests.process_apis.procure_to_pay.conftest import World
from tests.process_apis.procure_to_pay.drawing import ack, bill, notice

TENANT = "acme"


async def opened(store):
    """A tenant whose ERP's books are kept by us."""
    await migrate_durable(store.url)
    zones = frozenset({Zone.PROCESS})
    principal = Principal(subject="edi", tenant=TENANT, zones=zones, scopes=frozenset(), credential="key")
    caller = Caller(principal=principal, correlation_id="c", request_id="r", deadline=float("inf"))
    world = World(store, TENANT, caller, booked=("erp",))
    await world.open()
    return world


async def departed(world, number="PO-7001"):
    """A purchase whose supplier changed a price and billed another, and of which too much came; its id."""
    made = await world.approve(number, 10, 4)
    dialogue, caller = world.purchases.dialogue, world.caller
    await dialogue.acknowledge(caller, made.purchase, ack("A-1", (1, "IP", 10), unit_price="26.00"))
    await dialogue.acknowledge(caller, made.purchase, ack("A-2", (2, "IA", 4)))
    await dialogue.advise(caller, made.purchase, notice("N-1", (1, 6)))
    await world.receive(number, 72)
    await world.receive(number, 6, item=2)
    await dialogue.bill(caller, made.purchase, bill("<b>I-1</b>", (1, 6, 27)))
    return made.purchase


async def refused(world, number="PO-7003"):
    """A purchase whose receipt the ERP refused; its id and the posting's."""
    made = await world.approve(number, 2)
    world.books.fails = [("before", Rejected("period closed", code="erp.refused"))]
    await world.receive(number, 24)
    await world.work()
    [task] = [each for each in await world.tasks() if each["state"] == "refused"]
    return made.purchase, task["subject"]
