from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.stock import OrderKey

KEYS = st.builds(OrderKey, st.integers(0, 3), st.integers(0, 3))


@given(KEYS, KEYS)
def test_order_keys_compare_by_epoch_and_then_by_sequence(a, b):
    left, right = (a.epoch, a.sequence), (b.epoch, b.sequence)
    assert (a < b, a <= b, a > b, a >= b, a == b) == (
        left < right,
        left <= right,
        left > right,
        left >= right,
        left == right,
    )
