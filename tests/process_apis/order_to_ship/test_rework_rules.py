"""Laws of what people do to orders: counters add up whatever happens, and releases that stay are not touched."""

from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace
from test_releases import claim, order

from gateway.kernel.errors import Conflict
from process_apis.order_to_ship.covering import backordered
from process_apis.order_to_ship.models import Shipment, ShippedLine, Task, TaskKind, TaskState
from process_apis.order_to_ship.releases import coverable, handed_over, latest
from process_apis.order_to_ship.rework_rules import cancel_part, concerned, handed_parts, kept_claims, withdrawn
from process_apis.order_to_ship.rules import cancel_rest, exposure, law_holds, ship, unship

NOW = datetime(2026, 11, 1, tzinfo=UTC)
amounts = st.integers(1, 9).map(Decimal)
numbers = st.integers(1, 2)


class Orders(RuleBasedStateMachine):
    """An order of two lines that goods come for and leave, that is handed over, withdrawn, and cancelled in part."""

    def __init__(self):
        super().__init__()
        self.order = order((9, 4), (7, 0))
        self.claims = [claim("clm_1", 1, 5), claim("clm_2", 2, 7)]

    def line(self, number):
        return self.order.lines[number - 1]

    def change(self, line):
        self.order = replace(
            self.order, lines=tuple(line if each.line == line.line else each for each in self.order.lines)
        )

    @rule(number=numbers, amount=amounts)
    def cancel(self, number, amount):
        line = self.line(number)
        amount = min(amount, line.open + line.backordered)
        try:
            releases = concerned(self.order, {number: amount})
        except Conflict:
            return
        kept = kept_claims(self.order, releases)
        self.order = withdrawn(self.order, releases)
        assert kept_claims(self.order, ()) == kept
        self.change(cancel_part(line, amount))
        self.cut(number, kept)

    def cut(self, number, kept):
        """Claims give way as availability has it: none of a release that stays."""
        line = self.line(number)
        too_many = sum(each.amount for each in self.claims if each.line == number) - (line.open + line.shipped)
        left = []
        for each in self.claims:
            part = min(max(too_many, Decimal(0)), each.amount) if each.line == number and each.claim not in kept else 0
            too_many -= part
            if each.amount > part:
                left.append(replace(each, amount=each.amount - part))
        assert too_many <= 0
        self.claims = left

    @rule()
    def hand_over(self):
        parts = handed_over(self.order, self.claims)
        if not parts:
            return
        number = latest(self.order) + 1
        target = "erp" if number == 1 else f"erp#{number}"
        task = Task(kind=TaskKind.ERP_ORDER, target=target, system="erp", state=TaskState.DONE)
        self.order = replace(self.order, released=(*self.order.released, *parts), tasks=(*self.order.tasks, task))

    @rule(number=numbers, amount=amounts)
    def goods_come(self, number, amount):
        line = self.line(number)
        came = min(amount, line.backordered)
        if came:
            self.change(backordered(line, line.backordered - came))
            self.claims.append(claim(f"clm_{len(self.claims)}_{number}_{latest(self.order)}_{came}", number, came))

    @precondition(lambda self: handed_parts(self.order))
    @rule(amount=amounts)
    def goods_leave(self, amount):
        part = handed_parts(self.order)[0]
        gone = sum(
            each.amount
            for shipment in self.order.shipments
            for each in shipment.lines
            if (shipment.release, each.line) == (part.release, part.line)
        )
        amount = min(amount, part.amount - gone)
        if amount <= 0:
            return
        shipped = ShippedLine(movement="m", line=part.line, item="i", amount=amount)
        shipment = Shipment(
            shipment_id="s", sequence=1, source="w", event_id="e", location="WH-N", lines=(shipped,),
            release=part.release,
        )  # fmt: skip
        self.order = replace(self.order, shipments=(*self.order.shipments, shipment))
        self.change(ship(self.line(part.line), amount))

    @invariant()
    def the_law_holds(self):
        assert all(law_holds(line) for line in self.order.lines)
        assert exposure(self.order) == sum(line.ordered - line.cancelled for line in self.order.lines)

    @invariant()
    def no_more_is_handed_over_than_is_covered(self):
        for line in self.order.lines:
            given = sum(part.amount for part in handed_parts(self.order) if part.line == line.line)
            assert given + coverable(self.order).get(line.line, 0) == line.open + line.shipped
        live = {part.release for part in handed_parts(self.order)}
        gone = {part.release for part in self.order.released} - live
        assert not gone & {shipment.release for shipment in self.order.shipments}
        states = {task.state for task in self.order.tasks if int(task.target.partition("#")[2] or 1) in gone}
        assert states <= {TaskState.WITHDRAWN}


TestOrders = Orders.TestCase


def test_a_shipment_taken_back_and_the_end_of_an_order_keep_the_law_after_a_cancel_in_part():
    [line] = order((9, 4)).lines
    line = ship(cancel_part(line, Decimal(5)), Decimal(3))
    assert (line.open, line.backordered, line.shipped, line.cancelled) == (1, 0, 3, 5)
    assert law_holds(unship(line, Decimal(2)))
    assert cancel_rest(line).cancelled == 6
