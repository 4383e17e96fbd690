import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.kernel.errors import Misconfigured
from gateway.kernel.keyring import KeyRing
from gateway.kernel.secrets import Secret

FIRST, SECOND = Secret("a" * 32), Secret("b" * 40)


@given(plaintext=st.binary(max_size=200), bound_to=st.binary(max_size=40))
def test_what_was_sealed_opens_again(plaintext, bound_to):
    ring = KeyRing({1: FIRST})
    assert ring.unseal("p", ring.seal("p", plaintext, bound_to=bound_to), bound_to=bound_to) == plaintext


def test_a_new_master_seals_and_the_old_one_still_opens():
    sealed = KeyRing({1: FIRST}).seal("p", b"text")
    both = KeyRing({1: FIRST, 2: SECOND})
    assert both.unseal("p", sealed) == b"text"
    assert both.seal("p", b"text")[:2] == b"\x00\x02"


@pytest.mark.parametrize(
    ("ring", "purpose", "bound_to"),
    [
        (KeyRing({1: SECOND}), "p", b"row"),
        (KeyRing({2: FIRST}), "p", b"row"),
        (KeyRing({1: FIRST}), "another purpose", b"row"),
        (KeyRing({1: FIRST}), "p", b"another row"),
    ],
)
def test_another_master_purpose_or_row_does_not_open_it(ring, purpose, bound_to):
    sealed = KeyRing({1: FIRST}).seal("p", b"text", bound_to=b"row")
    with pytest.raises(Misconfigured):
        ring.unseal(purpose, sealed, bound_to=bound_to)


def test_a_changed_byte_does_not_open():
    ring = KeyRing({1: FIRST})
    sealed = bytearray(ring.seal("p", b"text"))
    for position in range(2, len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(Misconfigured):
            ring.unseal("p", bytes(changed))


def test_digests_differ_by_purpose_and_version_and_match_in_constant_time():
    ring = KeyRing({1: FIRST, 2: SECOND})
    assert len({ring.digest("p", b"x"), ring.digest("q", b"x"), ring.digest("p", b"x", version=1)}) == 3
    assert ring.matches("p", b"x", ring.digest("p", b"x", version=1), version=1)
    assert not ring.matches("p", b"y", ring.digest("p", b"x", version=1), version=1)
    assert not ring.matches("p", b"x", ring.digest("p", b"x"), version=3)


@pytest.mark.parametrize("masters", [{}, {0: FIRST}, {1: Secret("short")}, {1 << 16: FIRST}])
def test_a_ring_that_cannot_be_trusted_is_refused(masters):
    with pytest.raises(Misconfigured):
        KeyRing(masters)
