from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.stock import OrderKey
from process_apis.availability.demand import DemandKey, Standing, Word, open_amounts, tell

KEYS = [DemandKey(name, "n", "itm", "main") for name in "abc"]


def taken(standing, feed):
    at, full, amounts = feed
    place = OrderKey(0, at)
    told = tell(
        standing, {key: Word(Decimal(amount), None, place) for key, amount in amounts.items()}, place, full=full
    )
    words = {key: word for key, word in standing.words.items() if key not in told.forgotten} | dict(told.written)
    return Standing(words, told.cut)


def truth(feeds):
    """By the source's own order; of a full feed and a delta at one place the delta went before."""
    known = {}
    for _, full, amounts in sorted(feeds, key=lambda feed: (feed[0], feed[1])):
        known = dict(amounts) if full else known | amounts
    return {key: Decimal(amount) for key, amount in known.items() if amount}


feed = st.tuples(
    st.integers(0, 12), st.booleans(), st.dictionaries(st.sampled_from(KEYS), st.integers(0, 5), max_size=3)
)


@given(
    feeds=st.lists(feed, max_size=7, unique_by=lambda feed: (feed[0], feed[1])),
    seed=st.randoms(use_true_random=False),
)
def test_whatever_order_feeds_come_in_and_however_often_the_newest_word_of_each_line_counts(feeds, seed):
    told = [*feeds, *feeds[:3]]
    seed.shuffle(told)
    standing = Standing({})
    for each in told:
        standing = taken(standing, each)
    assert {key: word.amount for key, word in standing.words.items() if word.amount} == truth(feeds)
    assert sum(open_amounts(standing.words.items()).values()) == sum(truth(feeds).values())


def test_nothing_that_a_full_feed_covers_is_kept():
    standing = taken(Standing({}), (1, False, {KEYS[0]: 0, KEYS[1]: 4}))
    standing = taken(standing, (5, False, {KEYS[2]: 1}))
    standing = taken(standing, (3, True, {KEYS[1]: 2}))
    assert {key: word.amount for key, word in standing.words.items()} == {KEYS[1]: 2, KEYS[2]: 1}
