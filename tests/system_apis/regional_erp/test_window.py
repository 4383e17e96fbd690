"""What a limited ERP takes: never more than so many calls in any second."""

from hypothesis import given
from hypothesis import strategies as st

from system_apis.regional_erp.erp.window import Window


class Clock:
    """Moves by hand."""

    now = 0.0

    def __call__(self):
        return self.now


@given(st.integers(1, 6), st.lists(st.floats(0, 0.6), min_size=1, max_size=60))
def test_no_second_has_more_calls_than_the_limit_and_the_wait_that_is_told_is_enough(limit, pauses):
    clock = Clock()
    window, taken = Window(limit, clock), []
    for pause in pauses:
        clock.now += pause
        wait = window.take()
        if wait is not None:
            clock.now += wait + 1e-9
            assert window.take() is None
        taken.append(clock.now)
    assert all(later - earlier >= 1 for earlier, later in zip(taken, taken[limit:], strict=False))


def test_without_a_limit_everything_is_taken():
    window = Window(0, Clock())
    assert [window.take() for _ in range(1_000)] == [None] * 1_000
