"""Rules that hold or refuse orders: what they find, from when on, and what becomes of the orders."""

import dataclasses
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from order_world import CALLER, SHIP_TO, ask
from test_releases import order

from gateway.canonical.item import Item
from gateway.canonical.party import CustomerStanding
from gateway.kernel.errors import Conflict, Invalid
from gateway.kernel.money import Money
from process_apis.order_to_ship import hold_rules as rules
from process_apis.order_to_ship.hold_rulebook import RuleChange

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def rule(when, *, version=1, begins=NOW, name="r", **more):
    fields = {
        "then": "hold", "active": True, "channels": (), "customer_classes": (), "business_owner": "o", "reason": "r",
        "changed_by": "me", "changed_at": NOW,
    }  # fmt: skip
    return rules.HoldRule(**{**fields, **more}, name=name, when=when, effective_from=begins, version=version)


def item(price="1", group=None):
    return Item(
        item="itm_1", sku="SKU-1", name="x", base_uom="EA", group=group,
        list_price=None if price is None else Money(Decimal(price), "USD"),
    )  # fmt: skip


KNOWN = CustomerStanding(number="CUST1", country="US", postal_code="04101", customer_class="gold")


@pytest.mark.parametrize(
    ("when", "facts", "changes", "finds"),
    [
        (rules.AmountAbove(currency="USD", above=Decimal(8)), {}, {}, True),
        (rules.AmountAbove(currency="USD", above=Decimal(9)), {}, {}, False),
        (rules.AmountAbove(currency="EUR", above=Decimal(1)), {}, {}, False),
        (rules.FirstOrder(), {"first": True}, {}, True),
        (rules.FirstOrder(), {"first": False}, {}, False),
        (rules.FirstOrder(), {}, {}, False),
        (rules.ItemGroup(group="knives"), {"items": {"itm_1": item(group="knives")}}, {}, True),
        (rules.ItemGroup(group="knives"), {"items": {"itm_1": item()}}, {}, False),
        (rules.PriceDeviation(percent=Decimal(10)), {"items": {"itm_1": item("1.1")}}, {}, False),
        (rules.PriceDeviation(percent=Decimal(9)), {"items": {"itm_1": item("1.1")}}, {}, True),
        (rules.PriceDeviation(percent=Decimal(100)), {"items": {"itm_1": item(None)}}, {}, True),
        (rules.AddressMismatch(by="postal_code"), {}, {}, True),
        (rules.AddressMismatch(by="country"), {}, {}, False),
        (rules.AddressMismatch(by="country"), {"customer": None}, {}, False),
        (rules.Duplicate(hours=24), {"duplicates": {24: "ord_0"}}, {}, True),
        (rules.Duplicate(hours=12), {"duplicates": {24: "ord_0"}}, {}, False),
        (rules.UnknownCustomer(), {"customer": None}, {}, True),
        (rules.UnknownCustomer(), {}, {}, False),
    ],
)
def test_a_rule_finds_what_it_says(when, facts, changes, finds):
    known = rules.Facts(**{"customer": KNOWN, "items": {"itm_1": item()}, **facts})
    found = rules.found_by(rule(when), replace(order((9, 0)), ship_to=SHIP_TO, **changes), known)
    assert (found is not None) is finds
    elsewhere = rule(when, channels=("shop",)), rule(when, customer_classes=("silver",))
    assert [rules.found_by(each, order((9, 0)), known) for each in elsewhere] == [None, None]


@given(
    versions=st.lists(st.tuples(st.sampled_from("ab"), st.integers(-3, 3), st.booleans()), max_size=8),
    at=st.integers(-4, 4),
)
def test_of_each_rule_the_version_that_began_last_holds(versions, at):
    made = [
        rule(rules.FirstOrder(), name=name, begins=NOW + timedelta(days=day), version=version, active=active)
        for version, (name, day, active) in enumerate(versions)
    ]
    found = rules.in_force(made, NOW + timedelta(days=at))
    for name in "ab":
        begun = [(each.effective_from, each.version, each) for each in made if each.name == name]
        begun = [each for each in begun if each[0] <= NOW + timedelta(days=at)]
        latest = max(begun, default=None, key=lambda each: each[:2])
        expected = [latest[2]] if latest and latest[2].active else []
        assert [each for each in found if each.name == name] == expected


# --- with the record --------------------------------------------------------------------------------------------------


class Customers:
    def __init__(self):
        self.known = {}

    async def standing(self, tenant, number):
        return self.known.get(number)


@pytest.fixture
async def customers(world, monkeypatch):
    found = Customers()
    monkeypatch.setattr(world.process._acceptance._vetting, "_customers", found)
    await world.store.execute("delete from order_to_ship.hold_rule")
    world.process.hold_rules._copies.clear()
    await world.stock(1000, "itm_1", "itm_2")
    yield found
    await world.store.execute("delete from order_to_ship.hold_rule")
    world.process.hold_rules._copies.clear()


def change(when, then="hold", name="r", **more):
    return RuleChange(name=name, when=when, then=then, business_owner="sales", reason="why", **more)


async def placed(world, number, *lines, **more):
    found = (await world.process.place_order(ask(number, *lines, **more))).order.order_id
    return await world.drain(found)


@pytest.mark.integration
async def test_what_a_rule_holds_waits_until_somebody_lets_it_go_and_then_its_terms_decide(world, customers):
    await world.process.hold_rules.change(CALLER, change(rules.AmountAbove(currency="USD", above=Decimal(10))))
    assert (await placed(world, "V-1", ("SKU-1", "4"))).state == "released"
    held = await placed(world, "V-2", ("SKU-1", "5"))
    assert (held.state, held.hold_kind, held.hold_reason) == ("held", "rule", "r: 12.5 USD is above 10")
    assert await world.sales(held.order_id) == []
    await world.store.execute("update fake.customer set credit_limit = 15")
    await world.process.release_hold(CALLER, held.order_id, reason="agreed with the board")
    held = await world.drain(held.order_id)
    assert (held.state, held.hold_kind, held.hold_reason) == ("held", None, "credit_limit")
    await world.store.execute("update fake.customer set credit_limit = 100")
    assert await world.process.ask_terms_again() == 0
    await world.store.execute("update order_to_ship.task set changed_at = now() - interval '10 minutes'")
    assert await world.process.ask_terms_again() == 1
    assert (await world.drain(held.order_id)).state == "released"
    assert "resumed" in await world.events(held.order_id)
    actions = await world.store.fetch("select action from store.audit where subject = 'hold_rule/r'")
    assert [row["action"] for row in actions] == ["hold_rule.change"]


@pytest.mark.integration
async def test_what_does_not_fit_yet_stays_held_by_its_terms_and_is_told_once(world, customers):
    await world.store.execute("update fake.customer set credit_limit = 5")
    held = await placed(world, "V-1", ("SKU-1", "4"))
    assert held.hold_reason == "credit_limit"
    await world.store.execute("update order_to_ship.task set changed_at = now() - interval '10 minutes'")
    assert await world.process.ask_terms_again() == 1
    assert (await world.drain(held.order_id)).hold_reason == "credit_limit"
    assert (await world.events(held.order_id)).count("held") == 1
    assert await world.called("CUST1") == ["read_customer", "read_customer"]


@pytest.mark.integration
async def test_first_orders_and_duplicates_are_held_however_many_come_at_once(world, customers):
    await world.process.hold_rules.change(CALLER, change(rules.FirstOrder(), name="first"))
    await world.process.hold_rules.change(CALLER, change(rules.Duplicate(hours=24), name="twice"))
    first = await placed(world, "V-1", ("SKU-1", "1"))
    assert first.hold_reason == "first: the first order of this account"
    await world.process.release_hold(CALLER, first.order_id, reason="known from elsewhere")
    assert (await world.drain(first.order_id)).state == "released"
    again = await placed(world, "V-2", ("SKU-1", "1"))
    assert again.hold_reason == f"twice: the same goods as {first.order_id}"
    assert (await placed(world, "V-3", ("SKU-1", "2"))).state == "released"
    other = replace(SHIP_TO, street="elsewhere")
    assert (await placed(world, "V-4", ("SKU-1", "1"), ship_to=other)).state == "released"


@pytest.mark.integration
async def test_closed_customers_and_what_rules_refuse_are_turned_away_and_what_was_accepted_stays(world, customers):
    kept = await placed(world, "V-0", ("SKU-1", "5"))
    asked = ask("V-0", ("SKU-1", "5"))
    for standing, code in (
        (CustomerStanding(number="CUST1", closed=True), "order.customer_closed"),
        (CustomerStanding(number="CUST1", may_order=False), "order.customer_unfit"),
    ):
        customers.known = {"CUST1": standing}
        with pytest.raises(Conflict) as refused:
            await placed(world, "V-1", ("SKU-1", "5"))
        assert refused.value.code == code
        assert (await world.process.place_order(asked)).order.order_id == kept.order_id
    customers.known = {"CUST1": CustomerStanding(number="CUST1", held=True)}
    held = await placed(world, "V-2", ("SKU-1", "5"))
    assert (held.hold_reason, held.hold_kind) == ("customer CUST1 is held", "rule")
    customers.known = {}
    await world.process.hold_rules.change(CALLER, change(rules.UnknownCustomer(), "refuse"))
    with pytest.raises(Conflict) as refused:
        await placed(world, "V-3", ("SKU-1", "5"))
    assert refused.value.code == "order.refused_by_rule"
    await world.process.hold_rules.change(CALLER, change(rules.UnknownCustomer(), "refuse", active=False))
    assert (await placed(world, "V-3", ("SKU-1", "5"))).state == "released"


@pytest.mark.integration
async def test_versions_of_rules_follow_one_another_and_none_begins_in_the_past(world, customers):
    book = world.process.hold_rules
    first = await book.change(CALLER, change(rules.FirstOrder(), expected=0))
    later = datetime.now(UTC) + timedelta(days=1)
    second = await book.change(CALLER, change(rules.Duplicate(hours=2), expected=first.version, effective_from=later))
    assert [each.when for each in await book.known("acme")] == [first.when, second.when]
    assert [each.when for each in await book.in_force("acme")] == [first.when]
    assert [each.version for each in await book.versions("acme", "r", before=None, limit=9)] == [
        second.version, first.version,
    ]  # fmt: skip
    with pytest.raises(Conflict) as changed:
        await book.change(CALLER, change(rules.FirstOrder(), expected=first.version))
    assert changed.value.code == "hold_rule.changed"
    for wrong, code in (
        ({"effective_from": datetime(2020, 1, 1, tzinfo=UTC)}, "hold_rule.past"),
        ({"then": "refuse"}, "hold_rule.unfit"),
    ):
        with pytest.raises(Invalid) as refused:
            await book.change(CALLER, change(rules.FirstOrder(), **wrong))
        assert refused.value.code == code
    assert await book.known("globex") == []


def found_in(preview):
    return [(held.external_number, held.why) for held in preview.found]


@pytest.mark.integration
async def test_a_preview_finds_what_the_rule_held_when_it_was_in_force_and_writes_nothing(world, customers):
    asked = [
        change(rules.FirstOrder(), name="first"),
        change(rules.Duplicate(hours=24), name="twice"),
        change(rules.AmountAbove(currency="USD", above=Decimal(10)), name="large"),
    ]
    for each in asked:
        await world.process.hold_rules.change(CALLER, each)
    first = await placed(world, "V-1", ("SKU-1", "1"))
    await world.process.release_hold(CALLER, first.order_id, reason="known from elsewhere")
    await world.drain(first.order_id)
    orders = [first, *[await placed(world, f"V-{n}", ("SKU-1", much)) for n, much in enumerate("152", start=2)]]
    held = [(each.external_number, each.hold_reason) for each in orders[1:] if each.state == "held"]
    held.insert(0, ("V-1", "first: the first order of this account"))
    assert [number for number, _ in held] == ["V-1", "V-2", "V-3"]
    for each in asked:
        await world.process.hold_rules.change(CALLER, change(each.when, name=each.name, active=False))
    written = "select count(*) from store.audit", "select count(*) from store.event"
    before = [await world.store.fetchval(each) for each in written]
    previews = world.process.hold_previews
    seen = [(each, await previews.preview(CALLER, each, last=1000)) for each in asked]
    assert sorted(one for _, preview in seen for one in found_in(preview)) == held
    assert {(preview.looked, preview.since) for _, preview in seen} == {(4, first.placed_at)}
    newest = await previews.preview(CALLER, change(rules.AmountAbove(currency="USD", above=Decimal(1))), last=2)
    assert [number for number, _ in found_in(newest)] == ["V-4", "V-3"]
    stranger = replace(CALLER, principal=dataclasses.replace(CALLER.principal, tenant="globex"))
    assert (await previews.preview(stranger, asked[2], last=1000)).looked == 0
    with pytest.raises(Invalid) as refused:
        await previews.preview(CALLER, change(rules.FirstOrder(), "refuse"), last=1)
    assert refused.value.code == "hold_rule.unfit"
    assert [await world.store.fetchval(each) for each in written] == before
