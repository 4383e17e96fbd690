"""Bodies that two readers could understand differently are refused, in bounded time; nothing is coerced."""

import contextlib
import json
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.strict import parse_json, problem_at
from gateway.kernel.errors import Invalid
from gateway.kernel.validation import DEFAULT_LIMITS

JSON = [("content-type", "application/json")]


@pytest.mark.parametrize(
    "body",
    [
        b'{"number":"a","number":"b","lines":[{"sku":"A","quantity":1}]}',
        b'{"number":"a","lines":[{"sku":"A","quantity":1,"quantity":2}]}',
        b"[" * 10_000,
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 200_000,
        b"{" * 500_000,
        b'{"number":"a","lines":[],"weight":1e400}',
        b'{"number":"a","lines":[],"weight":-1e400}',
        b'{"number":"a","lines":[],"weight":NaN}',
        b'{"number":"a","lines":[],"weight":Infinity}',
        b'{"number":"\\ud800","lines":[]}',
        b'{"number":"x\\uDC00y","lines":[]}',
        b'{"\\udfff":1}',
        b'{"number":"a","lines":' + b"9" * 10_000 + b"}",
        b'{"number":"a","lines":-' + b"9" * 1_000_000 + b"}",
        b'{"number":"a","weight":0.' + b"1" * 1_000_000 + b"}",
        b'{"number":"\xff\xfe"}',
        b'{"number":"\xed\xa0\x80"}',
        b"\xef\xbb\xbf{}",
        b'{"number":"a\x01b"}',
        b"{'number':1}",
        b'{"number":1,}',
        b"{} {}",
        b'"' * 100_001,
        b'"\\' * 100_001,
        b"",
        b" ",
        b"nul",
        b"01",
        b'{"n":1_000}',
        '{"number":"a"}'.encode("utf-16"),
    ],
    ids=lambda body: repr(body[:24]),
)
async def test_hostile_json_is_400_in_bounded_time(door, body):
    begun = time.process_time()
    answer = await door.send("POST", "/shop/v1/orders", headers=JSON, body=body)
    assert time.process_time() - begun < 1.0
    expected = 413 if len(body) > 1 << 20 else 400
    assert answer.status == expected, answer.json
    assert answer.code in ("request.json", "request.body_too_large", "request.body_missing")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"number": 5}, "/number"),
        ({"number": ""}, "/number"),
        ({"lines": []}, "/lines"),
        ({"lines": [{"sku": "A", "quantity": "2"}]}, "/lines/0/quantity"),
        ({"lines": [{"sku": "A", "quantity": 2}, {"sku": "A", "quantity": True}]}, "/lines/1/quantity"),
        ({"lines": [{"sku": "A", "quantity": 2.5}]}, "/lines/0/quantity"),
        ({"lines": [{"sku": "A", "quantity": 2, "extra": 1}]}, "/lines/0"),
        ({"lines": [{"sku": "A\n", "quantity": 2}]}, "/lines/0/sku"),
        ({"lines": {"sku": "A"}}, "/lines"),
        ({"unknown": 1}, ""),
        ({"weight": "1.5"}, "/weight"),
        ({"note": "a\u0000b"}, "/note"),
        ({"note": "a\u007fb"}, "/note"),
        ({"note": "a\u0085b"}, "/note"),
    ],
)
async def test_a_body_that_does_not_fit_is_422_with_a_pointer(door, order, change, pointer):
    answer = await door.send("POST", "/shop/v1/orders", json_body={**order, **change})
    assert (answer.status, answer.code) == (422, "request.body_invalid"), answer.json
    assert answer.json["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("body", ["[]", "null", "5", '"text"', "{}"])
async def test_a_body_of_another_kind_is_422(door, body):
    answer = await door.send("POST", "/shop/v1/orders", headers=JSON, body=body.encode())
    assert answer.status == 422


async def test_an_integral_float_is_an_integer_and_escapes_are_text(door, order):
    order["lines"][0]["quantity"] = 3.0
    order["note"] = "tab\there \\u0000 and 😀"
    assert (await door.send("POST", "/shop/v1/orders", json_body=order)).status == 201


async def test_a_large_order_is_taken(door, order):
    order["lines"] = [{"sku": f"SKU-{number}", "quantity": 1} for number in range(1000)]
    answer = await door.send("POST", "/shop/v1/orders", json_body=order)
    assert (answer.status, answer.json["lines"]) == (201, 1000)


@pytest.mark.parametrize(
    "content_type",
    [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "multipart/form-data; boundary=x",
     "application/json; charset=utf-16", ""],
)  # fmt: skip
async def test_another_content_type_is_415(door, order, content_type):
    headers = [] if content_type is None else [("content-type", content_type)]
    answer = await door.send("POST", "/shop/v1/orders", headers=headers, body=json.dumps(order).encode())
    assert (answer.status, answer.code) == (415, "request.media_type")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"'])
async def test_json_may_say_that_it_is_utf_8(door, order, content_type):
    headers = [("content-type", content_type)]
    assert (await door.send("POST", "/shop/v1/orders", headers=headers, body=json.dumps(order).encode())).status == 201


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/shop/v1/orders"), ("DELETE", "/shop/v1/orders/1"), ("POST", "/shop/v1/orders/1/cancellations")],
)
async def test_a_body_where_none_is_taken_is_refused(door, method, path):
    answer = await door.send(method, path, headers=JSON, body=b"{}")
    assert (answer.status, answer.code) == (400, "request.body_unexpected")


async def test_a_post_without_a_body_is_taken_where_none_is_needed(door):
    assert (await door.send("POST", "/shop/v1/orders/1/cancellations")).status == 202


nested = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('abc\\"[{', max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(nested)
def test_what_json_can_say_reads_back_as_it_was(value):
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_json(msgspec.json.encode(value)) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_and_never_fail(body):
    with contextlib.suppress(Invalid):
        parse_json(body)


@given(st.integers(1, 200), st.sampled_from([(b"[", b"]"), (b'{"a":', b"}"), (b'{"]":[', b"]}")]))
def test_depth_is_bounded_exactly(depth, kind):
    levels = depth * (2 if kind[0].endswith(b"[") and kind[0] != b"[" else 1)
    body = kind[0] * depth + b"1" + kind[1] * depth
    if levels <= DEFAULT_LIMITS.depth:
        parse_json(body)
    else:
        with pytest.raises(Invalid):
            parse_json(body)


def test_a_pointer_follows_the_path_of_the_misfit():
    problem = problem_at("Expected `int`, got `str` - at `$.lines[3].quantity`")
    assert (problem.detail, problem.pointer) == ("Expected `int`, got `str`", "/lines/3/quantity")
    assert problem_at("Object missing required field `lines`").pointer == ""
