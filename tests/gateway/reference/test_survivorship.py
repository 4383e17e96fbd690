from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.reference.survivorship import Ownership, Statement, provenance, restated, surviving

START = datetime(2026, 11, 21, tzinfo=UTC)


def says(source, *, first=0, **attributes):
    at = START + timedelta(hours=first)
    return Statement(source=source, first_at=at, said_at=dict.fromkeys(attributes, at), attributes=attributes)


def test_the_source_that_is_ranked_best_decides_each_attribute_by_itself():
    owners = {"name": Ownership(publishes=("pim", "erp")), "terms": Ownership(publishes=("erp", "pim"))}
    said = [says("erp", name="E", terms="30"), says("pim", first=1, name="P", terms="60")]
    assert surviving(said, owners) == {"name": "P", "terms": "30"}


def test_of_sources_that_nobody_ranked_the_one_that_spoke_of_the_record_first_decides():
    said = [says("wms", first=2, name="W"), says("erp", first=1, name="E"), says("settings", name="S")]
    assert surviving(said, {}) == {"name": "E"}
    assert surviving([*said, says("steward", first=9, name="person")], {}) == {"name": "person"}


def test_who_enriches_fills_in_what_no_publisher_speaks_of():
    owners = {"name": Ownership(publishes=("erp",), enriches=("pim",))}
    assert surviving([says("pim", name="P")], owners) == {"name": "P"}
    assert surviving([says("pim", name="P"), says("erp", first=1, name=None)], owners) == {"name": None}


def test_who_may_not_decide_is_told_of_and_does_not_count():
    owners = {"name": Ownership(publishes=("erp",), validates=("audit",))}
    said = [says("erp", name="E"), says("audit", name="A"), says("wms", name="W")]
    (told,) = provenance(said, owners, ["name"])
    assert (told.value, told.source, told.since, told.disputed_by) == ("E", "erp", START, ("audit",))
    assert [(each.source, each.value, each.counts) for each in told.others] == [
        ("audit", "A", False),
        ("wms", "W", False),
    ]


def test_what_nobody_speaks_of_has_no_source():
    (told,) = provenance([], {}, ["name"])
    assert (told.value, told.source, told.others) == (None, None, ())


def test_a_statement_remembers_since_when_it_says_what_it_still_says():
    later = START + timedelta(days=1)
    before = says("erp", name="E", terms="30")
    after = restated(before, "erp", {"name": "E", "terms": "60"}, later, whole=True)
    assert after.said_at == {"name": START, "terms": later}
    assert after.first_at == START
    assert restated(before, "erp", {"name": "E"}, later, whole=False) is None
    assert restated(before, "erp", {"name": "E"}, later, whole=True).attributes == {"name": "E"}


_SOURCES = st.sampled_from(["erp", "pim", "wms", "steward", "settings"])
_STATEMENTS = st.lists(
    st.tuples(_SOURCES, st.integers(0, 3), st.dictionaries(st.sampled_from("abc"), st.integers(0, 3))),
    unique_by=lambda each: each[0],
)
_OWNERS = st.dictionaries(
    st.sampled_from("abc"),
    st.lists(st.sampled_from(["erp", "pim", "*", "steward"]), unique=True, min_size=1).map(
        lambda some: Ownership(publishes=tuple(some), validates=("wms",))
    ),
)


@given(_STATEMENTS, _OWNERS, st.randoms())
def test_the_order_in_which_statements_arrived_here_decides_nothing_and_provenance_tells_what_counts(some, owners, r):
    said = [says(source, first=first, **attributes) for source, first, attributes in some]
    counts = surviving(said, owners)
    r.shuffle(said)
    assert surviving(said, owners) == counts
    for told in provenance(said, owners, "abc"):
        assert (told.source is not None) is (told.attribute in counts)
        assert counts.get(told.attribute) == told.value
        assert told.source != "wms" or told.attribute not in owners
