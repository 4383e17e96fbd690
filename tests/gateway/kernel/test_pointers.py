"""JSON pointers as fragments."""

import pytest

from gateway.kernel.pointers import standing_at

DOCUMENT = {"a": {"b/c": [1, {"~": 2}]}, "{id}": 3, "0": 4, "text": "abc"}


@pytest.mark.parametrize(
    ("reference", "found"), [("#/a/b~1c/0", 1), ("#/a/b~1c/1/~0", 2), ("#/%7Bid%7D", 3), ("#/{id}", 3), ("#/0", 4)]
)
def test_a_reference_finds_its_place(reference, found):
    assert standing_at(DOCUMENT, reference) == found


@pytest.mark.parametrize("reference", ["#/b", "#/a/b~1c/2", "#/a/b~1c/-1", "#/a/b~1c/x", "#/text/0", "#/a/b/c"])
def test_a_reference_to_nowhere_is_a_key_error(reference):
    with pytest.raises(KeyError):
        standing_at(DOCUMENT, reference)
