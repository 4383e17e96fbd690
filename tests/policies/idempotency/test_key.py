import string

import http_sf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.kernel.errors import Invalid
from policies.idempotency.key import fingerprint_of, parse_key, record_key

from .conftest import RING, exchange

PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=255)
UNQUOTED = st.text(string.ascii_letters + string.digits + "-_.:/+=", min_size=1, max_size=255)


@given(key=PRINTABLE)
def test_every_structured_field_string_is_read_as_it_was_meant(key):
    assert parse_key(http_sf.ser(key).encode()) == key


@given(key=UNQUOTED)
def test_the_bare_form_is_the_same_key(key):
    assert parse_key(key.encode()) == parse_key(f'"{key}"'.encode()) == key


def test_parameters_are_ignored():
    assert parse_key(b'"abc";v=1') == "abc"


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b'""', b'"', b'"a', b'a"b', b"a b", b'"a" "b"', b'"a", "b"', b'"\xc3\xa9"', b"\xc3\xa9"),
        *(b"a\x00", b'"a\n"', b"x" * 256, b'"' + b"x" * 256 + b'"', b'"a\\x"'),
    ],
)
def test_what_is_not_a_string_of_1_to_255_printable_characters_is_a_bad_request(value):
    with pytest.raises(Invalid) as refused:
        parse_key(value)
    assert refused.value.syntax
    assert refused.value.code == "idempotency_key.malformed"


def test_a_key_belongs_to_tenant_partner_api_version_and_route():
    keys = set()
    for given_ in (
        {},
        {"tenant": "other"},
        {"partner": "par_2"},
        {"partner": None},
        {"api": "edi"},
        {"version": "v2"},
        {"method": "PUT"},
        {"id": "POST /returns"},
    ):
        made = exchange(**given_)
        keys.add(record_key(RING, 1, made.principal, made.route, "k1"))
    made = exchange()
    keys.add(record_key(RING, 1, made.principal, made.route, "k2"))
    keys.add(record_key(RING, 1, None, made.route, "k1"))
    assert len(keys) == 10


def test_boundaries_between_the_parts_of_a_key_matter():
    one, two = exchange(tenant="ab", partner="c"), exchange(tenant="a", partner="bc")
    assert record_key(RING, 1, one.principal, one.route, "k") != record_key(RING, 1, two.principal, two.route, "k")


def test_a_fingerprint_covers_path_query_type_and_body():
    prints = {fingerprint_of(exchange())}
    prints.add(fingerprint_of(exchange(body=b"{ }")))
    prints.add(fingerprint_of(exchange(path="/orders/2")))
    queried = exchange()
    queried.query = b"a=1"
    prints.add(fingerprint_of(queried))
    typed = exchange()
    typed.headers[b"content-type"] = b"text/plain"
    prints.add(fingerprint_of(typed))
    assert len(prints) == 5
    assert fingerprint_of(exchange()) in prints
