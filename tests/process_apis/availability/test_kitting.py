from __future__ import annotations

from decimal import Decimal
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.kit import Component, Kit, book_of, in_kits
from gateway.canonical.stock import ClaimedLine, ClaimState
from process_apis.availability.kitting import Counter, Shelves, items_handled, kit_consumption, makeable, serve
from process_apis.availability.models import ChannelTerms, Handled, ItemTerms, Need, OpenClaim, Progress
from process_apis.availability.selling import Offer, terms_for

K = Kit("K", (Component("A", Decimal(2)), Component("B", Decimal(1))))
L = Kit("L", (Component("B", Decimal(3)), Component("C", Decimal("0.5"))))
KITS = {"K": K, "L": L}
PLACES = ("n", "s")
amounts = st.integers(0, 9).map(Decimal)


def offered(item, **places):
    places = {place: Decimal(amount) for place, amount in places.items()}
    cap = places.pop("cap", sum(places.values()))
    return Offer(places, sum(places.values()), (), min(cap, sum(places.values())))


def test_a_kit_is_made_at_one_place_of_what_that_place_has():
    made = makeable(K, {"A": offered("A", n=9, s=1), "B": offered("B", n=1, s=9)}, ChannelTerms())
    assert (made.places, made.limits, made.most) == ({"n": 1, "s": 0}, {"n": "B", "s": "A"}, 1)


def test_what_a_channel_may_take_of_a_component_in_all_is_the_limit_of_its_kits():
    made = makeable(K, {"A": offered("A", n=9, s=9, cap=7), "B": offered("B", n=9, s=9)}, ChannelTerms())
    assert (made.most, made.limit) == (3, "A")


def test_a_place_that_may_not_sell_the_kit_makes_none():
    offers = {"A": offered("A", n=4), "B": offered("B", n=4)}
    assert makeable(K, offers, ChannelTerms(only_named=True)).most == 0
    assert makeable(K, {"A": offered("A", n=4), "B": offered("B")}, ChannelTerms()).most == 0
    barred = terms_for(ChannelTerms(items={"K": ItemTerms(excluded=True)}), "K")
    assert makeable(K, offers, barred).most == 0


stocks = st.fixed_dictionaries({item: st.fixed_dictionaries(dict.fromkeys(PLACES, amounts)) for item in "KLABC"})
wants = st.lists(
    st.tuples(st.sampled_from("KLABC"), st.integers(1, 5).map(Decimal), st.sampled_from([None, "n", "s"])),
    min_size=1,
    max_size=3,
).map(lambda some: [Need(line, *each) for line, each in enumerate(some, start=1)])


def served(stock, needs, fill="complete", cap=None):
    shelves = Shelves(stock, cap or {item: sum(places.values()) for item, places in stock.items()})
    counter = Counter(KITS, {item: frozenset(PLACES) for item in KITS})
    return serve(needs, counter, shelves, PLACES, fill)


def of_line(portions, need):
    """How much of `need` these portions are, and at which places its components lie."""
    own = sum((each.amount for each in portions if each.line == need.line and each.item == need.item), Decimal(0))
    made = Decimal(0)
    if need.item in KITS:
        for place in PLACES:
            parts = {
                each.item: each for each in portions if (each.line, each.location) == (need.line, place) and each.kit
            }
            if parts:
                counts = {parts[item].amount / amount for item, amount in KITS[need.item].components}
                assert len(counts) == 1
                made += counts.pop()
    return own + made


@given(stocks, wants, st.sampled_from(["complete", "line_complete", "partial"]))
def test_no_more_is_taken_than_there_is_and_whole_kits_at_one_place(stock, needs, fill):
    portions, missing = served(stock, needs, fill)
    for item, place in product("KLABC", PLACES):
        assert (
            sum(each.amount for each in portions if (each.item, each.location) == (item, place)) <= stock[item][place]
        )
    for need in needs:
        part = of_line(portions, need)
        assert part == need.amount or fill != "complete" or missing
        assert 0 <= part <= need.amount
        assert fill != "line_complete" or part in (0, need.amount)
        assert need.location is None or {each.location for each in portions if each.line == need.line} <= {
            need.location
        }
    assert not (portions and missing)


@given(stocks, st.integers(1, 9).map(Decimal), st.sampled_from("KL"))
def test_one_line_of_kits_is_served_exactly_as_long_as_its_figure_lasts(stock, amount, item):
    kit = KITS[item]
    offers = {part.item: offered(part.item, **stock[part.item]) for part in kit.components}
    figure = sum(stock[item].values()) + makeable(kit, offers, ChannelTerms()).most
    portions, missing = served(stock, [Need(1, item, amount, None)])
    assert bool(portions) is (amount <= figure)
    assert bool(missing) is (amount > figure)


def test_an_order_of_a_kit_and_its_component_stays_at_one_place_where_that_does():
    stock = {"A": {"n": Decimal(2), "s": Decimal(9)}, "B": {"n": Decimal(9), "s": Decimal(9)}}
    portions, _ = served(stock, [Need(1, "K", Decimal(1), None), Need(2, "A", Decimal(3), None)])
    assert {each.location for each in portions} == {"s"}
    assert [(each.line, each.item, each.amount, each.kit) for each in portions] == [
        (1, "A", 2, "K"), (1, "B", 1, "K"), (2, "A", 3, None),
    ]  # fmt: skip


# --- what handling consumes -------------------------------------------------------------------------------------------


def claim(name, item, amount, state="allocated", kit=None, per_kit=None, **more):
    return OpenClaim(
        claim=name, order="o", line=1, item=item, location="n", owner="main", channel="web", amount=Decimal(amount),
        consumed=Decimal(0), released=Decimal(more.get("released", 0)), state=state, kit=kit,
        per_kit=None if per_kit is None else Decimal(per_kit),
    )  # fmt: skip


def handled(item, picked=0, shipped=0, place="n", line=1):
    return Handled("o", line, item, Progress(place, Decimal(picked), Decimal(shipped)))


LINE = [claim("c0", "K", 1), claim("c1", "A", 4, kit="K", per_kit=2), claim("c2", "B", 2, kit="K", per_kit=1)]


def consumed(*progress, claims=LINE):
    by_line = items_handled(claims, progress)
    return {name: shares[0] for name, shares in kit_consumption(claims, by_line.get(("o", 1), ())).items()}


def test_each_component_consumes_its_own_claim_whichever_is_told_first():
    assert consumed(handled("A", picked=3), handled("B", shipped=2)) == {"c0": 0, "c1": 3, "c2": 2}
    assert consumed(handled("K", shipped=1), handled("A", shipped=4, place="s")) == {"c0": 1, "c1": 4, "c2": 0}


def test_a_warehouse_that_tells_the_kit_consumes_kits_first_and_then_every_component():
    assert consumed(handled("K", picked=2)) == {"c0": 1, "c1": 2, "c2": 1}
    assert consumed(handled("K", picked=2, shipped=3), handled("B", shipped=1)) == {"c0": 1, "c1": 4, "c2": 2}
    assert consumed(handled("K", picked=1), handled("K", picked=-1, place="s")) == {"c0": 0, "c1": 0, "c2": 0}


def test_handling_without_a_line_belongs_to_the_one_line_that_claims_the_item_or_its_kit():
    assert consumed(handled("A", shipped=2, line=-1), handled("K", shipped=1, line=-1)) == {"c0": 1, "c1": 2, "c2": 0}
    exploded = LINE[1:]
    assert consumed(handled("K", shipped=2, line=-1), claims=exploded) == {"c1": 4, "c2": 2}


def test_an_older_release_that_kept_no_item_meant_the_one_of_the_line():
    assert consumed(handled("", shipped=3)) == {"c0": 1, "c1": 4, "c2": 2}


@given(st.lists(st.tuples(st.sampled_from("KABX"), st.integers(-3, 6), st.integers(0, 6)), max_size=5))
def test_no_claim_is_consumed_beyond_itself(deeds):
    sums: dict[str, list[int]] = {}
    for item, picked, shipped in deeds:
        before = sums.setdefault(item, [0, 0])
        sums[item] = [before[0] + picked, before[1] + shipped]
    found = consumed(*(handled(item, *amounts) for item, amounts in sums.items()))
    assert all(0 <= found[each.claim] <= each.amount for each in LINE)


def claimed(name, item, amount, kit=None, per_kit=None, place="n"):
    return ClaimedLine(
        claim=name, line=1, item=item, location=place, amount=Decimal(amount), state=ClaimState.RESERVED, kit=kit,
        per_kit=None if per_kit is None else Decimal(per_kit),
    )  # fmt: skip


def test_promises_are_told_in_the_items_that_were_ordered():
    made = [claimed("c1", "A", 4, "K", 2), claimed("c0", "K", 1), claimed("c2", "B", 2, "K", 1),
            claimed("c3", "A", 2, "K", 2, "s"), claimed("c4", "B", 1, "K", 1, "s")]  # fmt: skip
    found = sorted((each.location, each.item, each.amount, each.claim, each.kit) for each in in_kits(made))
    assert found == [("n", "K", 1, "c0", None), ("n", "K", 2, "c1", None), ("s", "K", 1, "c3", None)]


def test_a_component_concerns_its_kits():
    book = book_of([K, L, Kit("Z", ())])
    assert book.concerned("B") == ("B", "K", "L")
    assert book.with_components(["K", "A"]) == ["K", "A", "B"]
    assert book.among(["Z", "A"]) == {}
