from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.canonical.location import LocationMap
from gateway.canonical.stock import ClaimLine, ClaimRequest, Confidence
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Conflict
from process_apis.availability.explaining import account
from process_apis.availability.leaving import Departures
from process_apis.availability.lines import LineRow
from process_apis.availability.models import (
    Allotment,
    ChannelRule,
    ChannelTerms,
    Held,
    ItemTerms,
    LocationTerms,
    LotLeft,
    Need,
    StockLine,
)
from process_apis.availability.previewing import differences, sides
from process_apis.availability.promising import Shelf
from process_apis.availability.ruling import faults
from process_apis.availability.selling import (
    allotment_of,
    by_priority,
    drawn_after,
    fit,
    offer,
    sellable,
    terms_for,
    unreserved,
)

PLACES = ("n", "s", "w")
TODAY = date(2026, 11, 1)
NOW = datetime(2026, 11, 1, tzinfo=UTC)
CHANNELS = ("gold", "web", "late")
small = st.integers(0, 12).map(Decimal)
maybe = st.one_of(st.none(), small)
located = st.lists(
    st.tuples(st.sampled_from(PLACES), st.integers(0, 4).map(Decimal), st.booleans()),
    max_size=3,
    unique_by=lambda x: x[0],
).map(lambda some: tuple(LocationTerms(location=p, safety_stock=s, eligible=e) for p, s, e in some))
shares = st.sampled_from([None, None, Decimal("0.3"), Decimal(1)])
allotments = st.one_of(st.none(), small.map(lambda amount: Allotment(name="a", amount=amount)))
own_terms = st.builds(
    ItemTerms, excluded=st.sampled_from([False, False, False, True]), locations=located, buffer=maybe,
    share=shares, protected=maybe, allotment=allotments,
)  # fmt: skip
channel_terms = st.builds(
    ChannelTerms, locations=located, only_named=st.booleans(), buffer=st.integers(0, 3).map(Decimal), share=shares,
    priority=st.integers(1, 3), min_life_days=st.integers(0, 5), protected=st.integers(0, 8).map(Decimal),
    items=st.one_of(st.just({}), own_terms.map(lambda own: {"itm": own})),
)  # fmt: skip
left = st.lists(st.builds(LotLeft, st.integers(-2, 9), st.integers(1, 6).map(Decimal)), max_size=2).map(tuple)
stock = st.lists(st.tuples(st.integers(-3, 15), st.integers(0, 5), left), min_size=1, max_size=3)
holdings = st.lists(st.tuples(small, small), min_size=3, max_size=3)


def lines_of(figures):
    return [
        StockLine(
            item="itm", location=place, owner="main", on_hand=Decimal(sellable), sellable=Decimal(sellable),
            reserved=Decimal(reserved), allocated=Decimal(0), external=Decimal(0), version=1,
            as_of=datetime(2026, 11, 1, tzinfo=UTC), lots=lots,
        )
        for place, (sellable, reserved, lots) in zip(PLACES, figures, strict=False)
    ]  # fmt: skip


def line(place, sellable):
    [made] = lines_of([(sellable, 0, ())])
    return StockLine(**{name: getattr(made, name) for name in made.__struct_fields__} | {"location": place})


def rule(channel, **terms):
    made = ChannelTerms(**terms)
    return ChannelRule(channel=channel, version=1, terms=made, fences=made.fences)


def rules_of(terms):
    made = [ChannelRule(channel=c, version=1, terms=t, fences=t.fences) for c, t in zip(CHANNELS, terms, strict=True)]
    return made, sorted((each for each in made if each.fences), key=by_priority)


def held_of(terms, amounts):
    return {
        (channel, "main"): Held(opened, 1, "a", drawn)
        for channel, (opened, drawn) in zip(CHANNELS, amounts, strict=True)
    }


def shelf_of(lines, held):
    rows = [
        LineRow(*[getattr(each, name, Decimal(0)) for name in LineRow._fields])  # a line doesn't say what is short
        for each in lines
    ]
    shelf = Shelf("acme", rows, Departures(LocationMap({}), SystemClock()), {})
    columns = [(*("itm", *key), *each) for key, each in held.items()]
    names = ("items", "channels", "owners", "open", "counted", "allotments", "drawn")
    head = dict(zip(names, zip(*columns, strict=True), strict=True)) if columns else dict.fromkeys(names)
    lots = [
        ["itm", each.location, "main", str(TODAY + timedelta(lot.days)), str(lot.amount)]
        for each in lines
        for lot in each.lots
    ]
    shelf.count(head | {"lots": msgspec.json.encode(lots) if lots else None}, lambda location: TODAY)
    return shelf


def admitted(shelf, asking, fencing, amount, location=None):
    wanted = [ClaimLine(line=1, item="itm", amount=amount)]
    request = ClaimRequest(action="a", order="o", channel=asking.channel, correlation_id="c", lines=wanted)
    try:
        shelf.promise(request, asking, fencing, [Need(1, "itm", amount, location)], NOW)
    except Conflict:
        return False
    return True


def after(lines, place, amount):
    return [
        StockLine(
            **{name: getattr(each, name) for name in each.__struct_fields__} | {"reserved": each.reserved + amount}
        )
        if each.location == place
        else each
        for each in lines
    ]


@given(figures=stock, terms=st.lists(channel_terms, min_size=3, max_size=3), amounts=holdings, asks=st.integers(0, 2))
def test_a_claim_is_admitted_exactly_when_the_answer_said_so(figures, terms, amounts, asks):
    lines, held = lines_of(figures), held_of(terms, amounts)
    rules, fencing = rules_of(terms)
    said = sellable("itm", lines, rules[asks], fencing, held)
    assert said == offer("itm", lines, rules[asks], fencing, held).sellable
    assert not admitted(shelf_of(lines, held), rules[asks], fencing, said + 1)
    assert said == 0 or admitted(shelf_of(lines, held), rules[asks], fencing, said)


@given(figures=stock, terms=st.lists(channel_terms, min_size=3, max_size=3), amounts=holdings)
def test_an_offer_is_never_below_zero_nor_above_what_is_there_and_shrinks_by_what_others_keep(figures, terms, amounts):
    lines, held = lines_of(figures), held_of(terms, amounts)
    rules, fencing = rules_of(terms)
    for each in rules:
        found, alone = offer("itm", lines, each, fencing, held), offer("itm", lines, each, (), held)
        assert 0 <= found.sellable <= alone.sellable
        for place, amount in found.places.items():
            assert 0 <= amount <= alone.places[place]
        assert found.pool - sum(found.places.values()) == sum(kept.amount for kept in found.kept)
        assert all(kept.amount > 0 and kept.channel != each.channel for kept in found.kept)


@given(figures=stock, terms=st.lists(channel_terms, min_size=2, max_size=2), amounts=holdings, data=st.data())
def test_whatever_a_lower_channel_takes_a_protected_one_keeps_its_part(figures, terms, amounts, data):
    lines, held = lines_of(figures), held_of(terms, [*amounts])
    high = ChannelTerms(
        locations=terms[0].locations, only_named=terms[0].only_named, priority=1, protected=terms[0].protected
    )
    gold, web = (
        ChannelRule(channel=c, version=1, terms=t, fences=True) for c, t in (("gold", high), ("web", terms[1]))
    )
    web = ChannelRule(channel="web", version=1, terms=ChannelTerms(locations=terms[1].locations, priority=2))
    before = offer("itm", lines, gold, [gold], held).sellable
    promised = min(before, max(Decimal(0), high.protected - held["gold", "main"].open))
    found = offer("itm", lines, web, [gold], held)
    for place in data.draw(st.permutations(PLACES)):
        lines = after(lines, place, found.places.get(place, Decimal(0)))
    assert offer("itm", lines, gold, [gold], held).sellable >= promised


@given(figures=stock, amounts=st.lists(small, min_size=3, max_size=3))
def test_allotments_that_want_all_there_is_still_leave_it_to_one_of_them(figures, amounts):
    lines = lines_of(figures)
    terms = [
        ChannelTerms(
            priority=n, protected=Decimal(9), items={"itm": ItemTerms(allotment=Allotment(name="a", amount=a))}
        )
        for n, a in enumerate(amounts)
    ]
    rules, fencing = rules_of(terms)
    there = sum(max(Decimal(0), each.sellable - each.reserved) for each in fit(lines, ChannelTerms()))
    assert sum(offer("itm", lines, each, fencing, {}).sellable for each in rules) >= min(there, sum(amounts))


def test_protection_is_for_higher_priorities_and_used_up_by_open_claims_of_their_own():
    gold, web = rule("gold", priority=1, protected=Decimal(6)), rule("web", priority=2)
    lines = [line("n", 10)]

    def web_sells(opened):
        return offer("itm", lines, web, [gold], {("gold", "main"): Held(Decimal(opened))}).sellable

    assert [web_sells(opened) for opened in (0, 4, 6, 9)] == [4, 8, 10, 10]
    assert offer("itm", lines, gold, [gold], {}).sellable == 10
    equal = rule("other", priority=1)
    assert offer("itm", lines, equal, [gold], {}).sellable == 10


def test_an_allotment_holds_against_everybody_until_it_is_drawn_down():
    items = {"itm": ItemTerms(allotment=Allotment(name="spring", amount=Decimal(8)))}
    fair, vip = rule("fair", priority=9, items=items), rule("vip", priority=1)
    lines = [line("n", 10)]

    def vip_sells(**held):
        return offer("itm", lines, vip, [fair], {("fair", "main"): Held(Decimal(0), 1, **held)}).sellable

    assert vip_sells() == 2
    assert vip_sells(allotment="spring", drawn=Decimal(5)) == 7
    assert vip_sells(allotment="autumn", drawn=Decimal(5)) == 2
    assert offer("itm", lines, fair, [fair], {}).sellable == 10
    kept = offer("itm", lines, vip, [fair], {}).kept
    assert [(each.channel, each.reason, each.amount) for each in kept] == [("fair", "allotment", 8)]


def test_what_is_kept_lies_where_the_asking_channel_may_not_sell_as_far_as_it_can():
    shared = (LocationTerms(location="n"), LocationTerms(location="s"))
    gold = rule("gold", priority=1, protected=Decimal(6), locations=shared, only_named=True)
    web = rule("web", priority=2, locations=(LocationTerms(location="n"), LocationTerms(location="w")), only_named=True)
    lines = [line("n", 10), line("s", 4), line("w", 1)]
    found = offer("itm", lines, web, [gold], {})
    assert (dict(found.places), found.sellable) == ({"n": 8, "s": 0, "w": 1}, 9)


def test_terms_of_an_item_stand_before_those_of_its_channel():
    places = (LocationTerms(location="n", safety_stock=Decimal(1)), LocationTerms(location="s"))
    own = ItemTerms(locations=(LocationTerms(location="n", safety_stock=Decimal(5)),), buffer=Decimal(2))
    terms = ChannelTerms(
        locations=places, only_named=True, buffer=Decimal(1), items={"itm": own, "not": ItemTerms(excluded=True)}
    )
    web = ChannelRule(channel="web", version=1, terms=terms)
    lines = [line("n", 10), line("s", 10), line("w", 10)]
    assert offer("itm", lines, web).sellable == 5 + 10 - 2
    assert offer("else", lines, web).sellable == 9 + 10 - 1
    assert offer("not", lines, web).sellable == 0
    assert terms_for(terms, "else") is terms
    assert offer("itm", lines, unreserved(web)).sellable == 20
    assert offer("not", lines, unreserved(web)).sellable == 0, "an override does not sell what the channel has not"


def test_a_new_allotment_begins_at_nothing_drawn():
    first, second = Allotment(name="a", amount=Decimal(9)), Allotment(name="b", amount=Decimal(9))
    held = drawn_after(Held(), first, Decimal(4))
    assert drawn_after(held, first, Decimal(1)) == Held(Decimal(5), 0, "a", Decimal(5))
    assert drawn_after(held, second, Decimal(1)) == Held(Decimal(5), 0, "b", Decimal(1))
    assert drawn_after(held, None, Decimal(1)) == Held(Decimal(5), 0, "a", Decimal(4))
    assert allotment_of(ChannelTerms(items={"itm": ItemTerms(allotment=first, excluded=True)}), "itm") is None


def test_terms_that_make_no_sense_are_told_with_their_places():
    bad = ChannelTerms(
        share=Decimal("1.5"), buffer=Decimal(-1), protected=Decimal("NaN"),
        locations=(LocationTerms(location="n", safety_stock=Decimal(-2)), LocationTerms(location="n")),
        items={"itm": ItemTerms(share=Decimal(-1), allotment=Allotment(name="a", amount=Decimal(-3)))},
    )  # fmt: skip
    assert sorted(str(problem.pointer) for problem in faults(bad)) == [
        "/terms/buffer", "/terms/items/0/allotment/amount", "/terms/items/0/share", "/terms/locations/0/safety_stock",
        "/terms/locations/1/location", "/terms/protected", "/terms/share",
    ]  # fmt: skip
    assert list(faults(ChannelTerms(share=Decimal(1)))) == []


def test_a_place_in_doubt_falls_back_whatever_an_item_says_of_it():
    own = ItemTerms(locations=(LocationTerms(location="n", safety_stock=Decimal(1)),))
    stop = ChannelTerms(fallback="stop", items={"itm": own})
    web = ChannelRule(channel="web", version=1, terms=stop, doubtful={"n": Confidence.STALE})
    lines = [line("n", 10), line("s", 4)]
    assert [offer(item, lines, web).sellable for item in ("itm", "else")] == [4, 4]
    buffered = ChannelTerms(fallback="buffer", fallback_buffer=Decimal(3), items={"itm": own})
    web = ChannelRule(channel="web", version=1, terms=buffered, doubtful={"n": Confidence.DEGRADED})
    assert [offer(item, lines, web).sellable for item in ("itm", "else")] == [10, 11]
    assert offer("itm", lines, unreserved(web)).sellable == 14


@given(figures=stock, terms=st.lists(channel_terms, min_size=3, max_size=3), amounts=holdings)
def test_what_is_explained_adds_up_to_what_is_answered(figures, terms, amounts):
    lines, held = lines_of(figures), held_of(terms, amounts)
    rules, fencing = rules_of(terms)
    for each in rules:
        told = account("itm", lines, each, fencing, held)
        assert told.sellable == sellable("itm", lines, each, fencing, held)
        assert told.pool + sum(step.amount for step in told.steps) == told.sellable
        assert sum(place.part for place in told.places) == told.pool
        for place in told.places:
            assert place.sellable + sum(step.amount for step in place.steps) == place.part


@given(figures=stock, terms=st.lists(channel_terms, min_size=4, max_size=4), amounts=holdings)
def test_a_preview_tells_every_figure_that_the_rule_will_change_and_no_other(figures, terms, amounts):
    lines, held = lines_of(figures), held_of(terms, amounts)
    rules, fencing = rules_of(terms[:3])
    changed = ChannelRule(channel="web", version=9, terms=terms[3], fences=terms[3].fences)
    after = [changed if each.channel == "web" else each for each in rules]
    fenced = sorted((each for each in after if each.fences), key=by_priority)
    both = sides({each.channel: each for each in rules}, "web", terms[3])
    told = {each.channel: each for each in differences("itm", lines, held, both)}
    for was, will in zip(rules, after, strict=True):
        figures_of = (sellable("itm", lines, was, fencing, held), sellable("itm", lines, will, fenced, held))
        assert (was.channel in told) == (figures_of[0] != figures_of[1])
        if was.channel in told:
            assert (told[was.channel].before, told[was.channel].after) == figures_of


def test_lots_that_are_over_or_too_near_their_end_are_not_sold():
    lines = [replace(line("n", 10), lots=(LotLeft(-1, Decimal(1)), LotLeft(0, Decimal(2)), LotLeft(30, Decimal(3))))]
    fresh = ItemTerms(min_life_days=31)
    cases = (({}, 9), ({"min_life_days": 1}, 7), ({"min_life_days": 30}, 7), ({"items": {"itm": fresh}}, 4))
    for terms, expected in cases:
        web = rule("web", **terms)
        assert offer("itm", lines, web).sellable == sellable("itm", lines, web, (), {}) == expected
        assert offer("itm", lines, unreserved(web)).sellable == 9, "an override sells nothing that is over"


def sells(lines, terms, own=Decimal(0)):
    return sellable("itm", lines, ChannelRule(channel="web", version=1, terms=terms), (), {("web", "main"): Held(own)})


def test_safety_stock_is_kept_at_each_location_and_the_buffer_once():
    lines = [line("n", 10), line("s", 3), replace(line("w", 50), owner="other")]
    named = (LocationTerms(location="n", safety_stock=Decimal(4)), LocationTerms(location="s", safety_stock=Decimal(5)))
    assert sells(lines, ChannelTerms(locations=named)) == 6
    assert sells(lines, ChannelTerms(locations=named, buffer=Decimal(2))) == 4
    assert sells(lines, ChannelTerms(locations=named[:1], only_named=True)) == 6
    assert sells(lines, ChannelTerms(buffer=Decimal(99))) == 0


@given(sellable=st.integers(-5, 50), external=small, own=small, share=st.sampled_from(["0", "0.33", "0.5", "1"]))
def test_a_share_never_lets_a_channel_hold_more_than_its_part_of_the_pool(sellable, external, own, share):
    lines = [replace(line("n", sellable), reserved=own, external=external)]
    sell = sells(lines, ChannelTerms(share=Decimal(share)), own)
    pool = max(Decimal(0), sellable - own - external) + own
    assert 0 <= sell <= max(0, sellable - own - external)
    assert sell == 0 or own + sell <= Decimal(share) * pool


def test_a_share_is_rounded_down_whatever_a_source_said():
    half = ChannelTerms(share=Decimal("0.5"))
    assert sells([line("n", 7)], half) == 3
    assert sells([line("n", 10**36)], half) == 5 * 10**35
