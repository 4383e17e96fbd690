"""Bounds of a JSON body: what is beyond one is 400 and says which and where, in bounded time."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.json_bounds import refused_at
from gateway.edge.strict import parse_json
from gateway.kernel.errors import Invalid
from gateway.kernel.validation import DEFAULT_LIMITS, JsonLimits

SMALL = JsonLimits(depth=3, items=4, members=2, string=8, digits=6)


def refused(body, limits=SMALL):
    with pytest.raises(Invalid) as error:
        parse_json(body, limits)
    assert (error.value.code, error.value.syntax) == ("request.json", True)
    (problem,) = error.value.problems
    return problem.detail, problem.pointer


@pytest.mark.parametrize(
    ("body", "said", "pointer"),
    [
        (b'{"a":[1,2,3,4,5]}', "more than 4 elements", "/a"),
        (b"[[],[1,2,3,4,5]]", "more than 4 elements", "/1"),
        (b'{"a":{"b":1,"c":2,"d":3}}', "more than 2 members", "/a"),
        (b'{"a":1,"b":2,"c":3}', "more than 2 members", ""),
        (b'[{"a/b~":"123456789"}]', "more than 8 characters", "/0/a~1b~0"),
        (b'{"123456789":1}', "more than 8 characters", "/123456789"),
        (b'{"a":[1,1234567]}', "too many digits", "/a/1"),
        (b'{"a":[1,-0.12345]}', "too many digits", "/a/1"),
        (b'{"a":[[[1]]]}', "deeper than 3", "/a/0/0"),
        (b'[0,{"a":1,"a":2}]', "stands twice", "/1/a"),
        (rb'{"a":{"b":1,"\u0062":2}}', "stands twice", "/a/b"),
        (b'{"a":[1,NaN]}', "NaN is not", "/a/1"),
        (b'{"b":-Infinity}', "-Infinity is not", "/b"),
        (b'[[],{},"]",1e999]', "out of range", "/3"),
        (b'{"\\ud800":{"a":1,"a":2}}', "stands twice", "/?/a"),
    ],
)
def test_the_limit_and_the_place_are_told(body, said, pointer):
    detail, where = refused(body)
    assert said in detail
    assert where == pointer


def test_what_is_just_within_every_limit_is_read():
    value = {"a": [1, 2, 3, [12345]], "12345678": "12345678"}
    assert parse_json(json.dumps(value).encode(), SMALL) == value


def test_the_last_of_duplicate_keys_counts_only_where_that_is_declared():
    assert parse_json(b'{"a":1,"a":2}', JsonLimits(duplicate_keys=True)) == {"a": 2}


def test_integers_stay_within_64_bits_whatever_is_declared():
    wide = JsonLimits(digits=1000)
    assert refused(b'{"a":12345678901234567890}', wide)[1] == "/a"
    assert parse_json(b"0." + b"1" * 500, wide) == pytest.approx(1 / 9)


@pytest.mark.parametrize("wrong", [{"depth": 0}, {"depth": 257}, {"items": 0}, {"string": -1}, {"size": 0}])
def test_limits_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match=r"at (least|most)"):
        JsonLimits(**wrong)


nested = st.recursive(
    st.integers(0, 9) | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text("abc/~", max_size=3), inner, max_size=5),
    max_leaves=25,
)


@given(nested)
def test_exactly_what_is_larger_than_a_limit_is_refused_where_it_stands(value):
    limits = JsonLimits(items=4, members=3)

    def fits(part):
        if isinstance(part, list):
            return len(part) <= limits.items and all(map(fits, part))
        return not isinstance(part, dict) or (len(part) <= limits.members and all(map(fits, part.values())))

    body = json.dumps(value).encode()
    if fits(value):
        assert parse_json(body, limits) == value
        return
    _, pointer = refused(body, limits)
    found = value
    for step in pointer.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")  # noqa: PLW2901
        found = found[int(step) if isinstance(found, list) else step]
    assert not fits(found)


@pytest.mark.parametrize(
    "body",
    [
        b'["' + rb"\"" * 500_000 + b"[" * 100,
        b"[" + b'"",' * 300_000 + b"1" * 30,
        b'{"a":1,' + b'"b":[],' * 100_000 + b'"a":1}',
        b"[" * 400_000 + b'"' * 400_000,
        b'{"' + b"k" * 1_000_000 + b'":NaN}',
        b"[" + b"1," * 400_000 + b"NaN]",
    ],
    ids=lambda body: repr(body[:12]),
)
def test_the_place_of_a_refusal_is_looked_for_in_bounded_time(body):
    begun = time.process_time()
    with pytest.raises(Invalid) as error:
        parse_json(body)
    assert time.process_time() - begun < 3.0
    assert all(len(problem.pointer) <= 300 for problem in error.value.problems)


@given(st.binary(max_size=80) | st.text('[]{},:"\\1aN', max_size=60).map(str.encode))
def test_looking_for_the_place_never_fails(body):
    refused_at(body, DEFAULT_LIMITS)
    refused_at(body, SMALL)
