"""Lives of stock and claims, each killed at every commit and every file: found in a clean run, not listed."""

from __future__ import annotations

import pytest

from .deaths import at_every_seam

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


def number_of(turn):
    return 0 if turn == "whole" else 1 + turn


class Life:
    """Commands of one turn: orders, actions and events are named after it, its order keys are above those before.

    What is refused in it would be so at any time: a refusal may be tried again.
    """

    def __init__(self, turn):
        self.turn, self.epoch = turn, 1 + 2 * number_of(turn)

    def order(self, number):
        return f"ord_{self.turn}_{number}"

    def verb(self, verb, number, again=0, **more):
        return {"do": verb, "action": f"{verb}-{self.turn}-{number}-{again}", "order": self.order(number), **more}

    def reserve(self, number, *lines, **more):
        return self.verb("reserve", number, lines=list(lines), **more)

    def move(self, event, kind, amount, at, **more):
        if "order" in more:
            more["order"] = self.order(more["order"])
        return {
            "do": "move",
            "event": f"{event}-{self.turn}",
            "kind": kind,
            "amount": amount,
            "sequence": at,
            "epoch": self.epoch,
            **more,
        }

    def stock(self, event, at, source="wms_n", **figures):
        return {
            "do": "snapshot",
            "event": f"{event}-{self.turn}",
            "figures": figures,
            "sequence": at,
            "epoch": self.epoch,
            "source": source,
        }


def shortage(turn):
    """A count below what is promised: carts fall, orders are marked, moved to where there is stock, and covered.

    Decided after every change: whoever delivers a life again decides at once about what the dead one left.
    """
    on = Life(turn)
    return [
        on.stock("begin", 1, A=30),
        on.stock("begin", 1, "wms_s", A=0),
        on.reserve(1, ["A", 10], priority=1),
        on.reserve(2, ["A", 5], need_by="2026-12-01"),
        on.reserve(3, ["A", 5], need_by="2026-12-24"),
        on.reserve(4, ["A", 4], expires_in=36_000),
        on.reserve(5, ["A", 4], expires_in=36_000),
        *(on.verb("allocate", number) for number in (1, 2, 3)),
        on.move("count", "cycle_counted", 13, 10),
        {"do": "relieve"},
        on.stock("there", 11, "wms_s", A=4),
        {"do": "relieve"},
        on.move("damage", "status_changed", 6, 12, from_bucket="sellable", to_bucket="damaged"),
        {"do": "relieve"},
        on.move("found", "status_changed", 6, 13, from_bucket="damaged", to_bucket="sellable"),
        {"do": "relieve"},
        on.stock("there", 14, "wms_s", A=30) | {"event": f"more-{turn}"},
        {"do": "relieve"},
        on.move("pick", "pick_confirmed", 5, 15, order=2),
        {"do": "relieve"},
        *(on.verb("cancel", number) for number in (1, 3)),
        on.move("out", "shipment_confirmed", 5, 16, order=2),
    ]


def allotment(turn):
    """Channels that draw on what is kept for one, and one that may have a share: drawn, given back, used up."""
    on, ruled = Life(turn), 2 * number_of(turn)
    return [
        on.stock("begin", 1, A=40),
        on.stock("begin", 1, "wms_s", A=0),
        {"do": "allot", "channel": "fair", "name": f"spring-{turn}", "amount": 8, "version": ruled + 1},
        {"do": "share", "channel": "web", "share": "0.5", "version": number_of(turn) + 1},
        on.reserve(1, ["A", 5], channel="fair"),
        on.reserve(2, ["A", 5], channel="fair"),
        on.reserve(3, ["A", 10], channel="web"),
        on.reserve(4, ["A", 21], channel="web"),
        on.reserve(5, ["A", 8], channel="shop"),
        on.reserve(9, ["A", 41], channel="shop"),
        on.verb("release", 2),
        on.reserve(6, ["A", 2], channel="fair", expires_in=0),
        {"do": "expire"},
        on.verb("transfer", 1, to=on.order(7)),
        on.move("pick", "pick_confirmed", 5, 5, order=7),
        on.move("out", "shipment_confirmed", 5, 6, order=7),
        {"do": "allot", "channel": "fair", "name": f"autumn-{turn}", "amount": 3, "version": ruled + 2},
        on.reserve(8, ["A", 3], channel="fair"),
        on.move("late", "pick_confirmed", 2, 7, order=2),
        on.move("late-out", "shipment_confirmed", 2, 8, order=2),
        *(on.verb("cancel", number) for number in (3, 5, 8)),
    ]


def sourcing(turn):
    """Orders over two places; picks elsewhere than promised, late, revised and in no order; a restarted sequence."""
    on = Life(turn)
    revised = {"kind": "pick_confirmed", "order": 3, "sku": "B"}
    nothing = {"A.picked": 0, "B.picked": 0}
    return [
        on.stock("begin", 1, A=7, B=50, **nothing),
        on.stock("begin", 1, "wms_s", A=6, B=3, **nothing),
        on.reserve(1, ["A", 10], ["B", 2]),
        on.verb("allocate", 1),
        on.reserve(2, ["A", 99]),
        on.move("elsewhere", "pick_confirmed", 3, 5, source="wms_s", order=1),
        on.verb("release", 1, lines=[2]),
        on.reserve(3, ["B", 20]),
        on.verb("allocate", 3),
        on.stock("count", 20, B=40),
        on.move("late", at=10, amount=4, **revised),
        on.move("late", at=10, amount=9, revision=2, **revised),
        on.move("late", at=10, amount=6, revision=1, **revised),
        on.move("late", at=10, amount=3, revision=3, **revised),
        on.move("early", "shipment_confirmed", 2, 21, sku="B", order=4),
        on.reserve(4, ["B", 5]),
        on.move("early", "shipment_confirmed", 3, 2, sku="B", order=4, epoch=on.epoch + 1)
        | {"event": f"restarted-{turn}"},
        on.verb("cancel", 3),
        on.verb("cancel", 1),
        on.verb("transfer", 4, to=on.order(5)),
    ]


def stand_by(turn):
    """A warehouse's system dies; another takes over with a snapshot in parts; late news of the first; the way back."""
    on, nth = Life(turn), number_of(turn)

    def parts(event, at, source, *figures):
        return [
            {"do": "part", "event": f"{event}-{turn}", "number": number, "of": len(figures), "figures": some,
             "sequence": at, "epoch": on.epoch, "source": source}
            for number, some in enumerate(figures, 1)
        ]  # fmt: skip

    return [
        *parts("own", 1, "wms_n", {"A": 50}, {"B": 50}),
        {"do": "apply_parts"},
        on.reserve(1, ["A", 10]),
        on.verb("allocate", 1),
        {"do": "switch", "to": "erp", "era": 2 * nth + 1},
        on.move("late", "pick_confirmed", 4, 2, order=1),
        *parts("theirs", 3, "erp", {"A": 46}, {"B": 49}),
        {"do": "apply_parts"},
        on.reserve(2, ["A", 30]),
        on.move("later", "pick_confirmed", 2, 4, order=1),
        {"do": "switch", "to": "wms_n", "era": 2 * nth + 2},
        *parts("back", 5, "wms_n", {"A": 44}, {"B": 48}),
        {"do": "apply_parts"},
        on.verb("cancel", 2),
        on.verb("cancel", 1),
    ]


def ahead(turn):
    """Goods that arrive for who waits, are late, short and cancelled, while stock beside them is sold."""
    on, document = Life(turn), f"PO-{turn}"
    return [
        on.stock("begin", 1, A=3),
        {"do": "supply", "document": document, "ordered": 20, "sequence": 1},
        on.reserve(1, ["A", 3]),
        on.verb("ahead", 2, amount=6),
        on.verb("ahead", 3, amount=6, days=9, expires_in=36_000),
        on.verb("ahead", 4, amount=4, expires_in=0),
        {"do": "expire"},
        on.verb("ahead", 5, amount=99),
        on.move("in", "receipt_posted", 4, 2, document=document),
        on.move("away", "put_away", 4, 3),
        {"do": "supply", "document": document, "ordered": 20, "sequence": 2, "days": 30, "cancelled": "4"},
        on.move("in2", "receipt_posted", 9, 4, document=document, to_bucket="sellable"),
        on.move("out", "shipment_confirmed", 5, 5, order=2),
        on.verb("cancel", 3),
        on.verb("cancel", 2),
        on.verb("cancel", 1),
        {"do": "supply", "document": document, "ordered": 20, "sequence": 3, "cancelled": "20"},
    ]


LIVES = {"shortage": shortage, "allotment": allotment, "sourcing": sourcing, "stand_by": stand_by, "ahead": ahead}
PLANS = {"stand_by": {"stand_by": "erp"}}


def books_in(world):
    async def books_of(turn):
        claims = await world.store.fetch(
            """select split_part(c.order_id, '_', 3) as order_id, i.sku, c.location, c.amount::text, c.consumed::text,
                      c.released::text, c.short::text, c.state, split_part(c.allotment, '-', 1) as allotment
               from availability.claim c join items.item i using (tenant, item)
               where c.order_id like $1 order by 1, 2, 3, 4, 5, 6""",
            f"ord_{turn}\\_%",
        )
        lines = await world.store.fetch(
            """select i.sku, l.location, l.sellable::text, l.on_hand::text, l.reserved::text, l.allocated::text,
                      l.waiting::text, l.short::text
               from availability.stock_line l join items.item i using (tenant, item) order by 1, 2"""
        )
        channels = await world.store.fetch(
            """select i.sku, channel, open::text, drawn::text, split_part(allotment, '-', 1) as allotment
               from availability.channel_line join items.item i using (tenant, item) order by 1, 2"""
        )
        return [[tuple(row) for row in rows] for rows in (claims, lines, channels)]

    return books_of


async def opened(world):
    """Lines of both items at both places, so that a turn finds what the one before it found."""
    for source in ("wms_n", "wms_s"):
        for sku in "AB":
            await world.stock(sku, 1, source)


@pytest.mark.parametrize("name", ["shortage", "sourcing", "stand_by"])
async def test_a_life_killed_here_and_there_ends_as_if_nobody_had_died(world, processes, name):
    await opened(world)
    died = await at_every_seam(processes, LIVES[name], books_in(world), number=2, **PLANS.get(name, {}))
    assert died.total() == 2


@pytest.mark.long
@pytest.mark.parametrize("name", LIVES)
async def test_a_life_killed_at_every_seam_ends_as_if_nobody_had_died(world, processes, name):
    await opened(world)
    died = await at_every_seam(processes, LIVES[name], books_in(world), **PLANS.get(name, {}))
    print(f"{name}: {died.total()} deaths: {dict(died)}")  # noqa: T201 - the count is what is asked for
    assert died.total() >= 3 * 15
