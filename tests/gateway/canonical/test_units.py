from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.units import is_unit, no_unit, units
from system_apis.tryton.settings import STANDARD_UNITS


def test_the_list_has_the_codes_in_force_and_none_that_was_withdrawn():
    assert len(units()) > 2_100
    assert all(is_unit(code) for code in ("EA", "KGM", "C62", "H87", "MTR", "XCS", "CS", "BX", "PAL", "DZN"))
    assert not any(is_unit(code) for code in ("PCE", "KG", "PC", "ea", "", "XXX", "PCS"))


def test_what_the_tryton_adapter_says_of_units_is_in_the_list():
    assert all(is_unit(code) for code in STANDARD_UNITS.values())


@pytest.mark.parametrize(
    ("written", "nearest"),
    [
        ("KG", "KGM, kilogram"),
        ("kgm", "KGM, kilogram"),
        ("PCS", "H87, piece"),
        ("PCE", "H87, piece"),
        ("case", "CS, case"),
        ("Kilogramm", "KGM, kilogram"),
        ("litre", "LTR, litre"),
        ("EAC", "EA, each"),
        ("PALLET", "PX, pallet"),
    ],
)
def test_what_is_no_unit_is_told_with_the_nearest_that_is_one(written, nearest):
    assert no_unit(written) == f"{written!r} is no unit of UN/ECE Recommendation 20 (nearest: {nearest})"


@given(st.text(max_size=30))
def test_every_text_is_told_in_one_sentence(text):
    assert "no unit of UN/ECE Recommendation 20" in no_unit(text)
