import random
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.backbone.feed import Window
from gateway.canonical.events import Position, Recorded

from .conftest import ACCEPTED, order

START = Position(1, 0, 0)


def recorded(number, type_="order.accepted"):
    place = Position(1, number, number)
    return Recorded(
        position=place, recorded_at=datetime(2026, 1, 2, tzinfo=UTC), event=order(f"o{number}", type_=type_)
    )


LOG = [recorded(number, "order.held" if number % 3 == 0 else "order.accepted") for number in range(1, 41)]
PLACES = [START, *(each.position for each in LOG)]


def offer(window, index):
    return window.offer(PLACES[index], LOG[index].position, [LOG[index]])


def test_an_empty_window_and_a_place_before_it_have_no_answer():
    window = Window()
    assert window.after(START, ACCEPTED, 10) is None
    offer(window, 5)
    assert window.after(PLACES[4], ACCEPTED, 10) is None
    assert window.after(PLACES[5], ACCEPTED, 10).reached == LOG[5].position


def test_a_gap_begins_the_window_anew_and_an_old_message_is_dropped():
    window = Window()
    assert offer(window, 0)
    assert offer(window, 2)
    assert window.after(START, ACCEPTED, 10) is None
    assert not offer(window, 1)
    assert not offer(window, 2)


def test_an_event_that_was_not_carried_is_left_to_the_record():
    window = Window()
    offer(window, 0)
    assert window.offer(PLACES[1], LOG[1].position, None)
    assert window.after(START, ACCEPTED, 10) is None
    assert window.after(LOG[1].position, ACCEPTED, 10).events == ()


def test_a_place_beyond_what_was_heard_has_no_answer_until_it_is_heard_of():
    window = Window()
    assert not window.is_behind(PLACES[2])
    offer(window, 0)
    assert window.is_behind(PLACES[2])
    assert window.after(PLACES[2], ACCEPTED, 10) is None
    offer(window, 1)
    assert not window.is_behind(PLACES[2])
    assert window.after(PLACES[2], ACCEPTED, 10).events == ()


def test_types_and_limit_are_kept_and_what_was_looked_at_is_reached():
    window = Window()
    for index in range(40):
        offer(window, index)
    stretch = window.after(START, ACCEPTED, 2)
    assert [each.event.aggregate for each in stretch.events] == ["o1", "o2"]
    assert stretch.reached == LOG[1].position
    none = window.after(START, frozenset({"item.changed"}), 2)
    assert (none.events, none.reached) == ((), LOG[-1].position)


def test_the_window_stays_small():
    window = Window(capacity=4)
    for index in range(40):
        offer(window, index)
    assert len(window._places) <= 8
    assert window.after(START, ACCEPTED, 100) is None
    assert window.after(LOG[-3].position, ACCEPTED, 100).reached == LOG[-1].position


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 30), st.floats(0, 0.5))
def test_whatever_is_lost_doubled_or_late_a_window_never_skips_an_event(seed, capacity, loss):
    """A reader that falls back on the log where the window has no answer sees the log, whole and in order."""
    chance = random.Random(seed)
    window, position, got = Window(capacity), START, []
    sent = [index for index in range(len(LOG)) for _ in range(chance.choice((1, 1, 2))) if chance.random() >= loss]
    for _ in range(chance.randrange(4)):
        at = chance.randrange(max(1, len(sent)))
        sent[at : at + 5] = sorted(sent[at : at + 5], key=lambda _: chance.random())
    for index in [*sent, None]:
        if index is not None:
            offer(window, index)
        if index is not None and chance.random() < 0.5:
            continue
        stretch = window.after(position, ACCEPTED, chance.randrange(1, 9))
        if stretch is None or index is None:
            end = LOG[max(sent, default=0)].position if index is not None else LOG[-1].position
            rest = [each for each in LOG if position < each.position <= end and each.event.type in ACCEPTED]
            got, position = got + rest, max(position, end)
        else:
            got, position = [*got, *stretch.events], stretch.reached
    assert got == [each for each in LOG if each.event.type in ACCEPTED]
