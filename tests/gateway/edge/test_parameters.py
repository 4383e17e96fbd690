"""Query strings: what a handler's signature knows, once, in its own shape."""

import pytest

from gateway.edge.parameters import parameter_of, query_checker
from gateway.kernel.errors import Invalid


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limti=5", "limti"),
        ("limit=5&limit=6", "limit"),
        ("limit=5&%6cimit=6", "limit"),
        ("limit=null", "limit"),
        ("state=null", "state"),
        ("state=NULL", "state"),
        ("limit=abc", "limit"),
        ("limit=1e1", "limit"),
        ("limit=5.0", "limit"),
        ("limit=+5", "limit"),
        ("limit=%205", "limit"),
        ("limit=5_0", "limit"),
        ("limit=05", "limit"),
        ("limit=%D9%A5", "limit"),
        ("limit=", "limit"),
        ("limit=true", "limit"),
        ("state=%zz", "state"),
        ("state=%", "state"),
        ("state=%ff", "state"),
        ("state=a%00b", "state"),
        ("state=a%0ab", "state"),
        ("=5", ""),
        ("%00=5", "query"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("state=" + "x" * 21, "order_state"),
    ],
)
async def test_a_query_that_does_not_fit_is_400_and_names_the_parameter(door, query, parameter):
    answer = await door.send("GET", f"/shop/v1/orders?{query}")
    assert (answer.status, answer.code) == (400, "request.parameters"), answer.json
    assert answer.json["errors"][0]["parameter"] == parameter


async def test_a_query_that_fits_reaches_the_handler_as_it_was_meant(door):
    answer = await door.send("GET", "/shop/v1/orders?limit=7&state=a%2Bb+c&tag=x&tag=y&")
    assert answer.json == {"limit": 7, "state": "a+b c", "tags": ["x", "y"]}


async def test_a_query_where_none_is_known_is_refused(door):
    assert (await door.send("GET", "/public?x=1", credential=None)).status == 400


async def test_too_many_parameters_or_too_long_a_query_is_refused(door):
    assert (await door.send("GET", "/shop/v1/orders?" + "tag=x&" * 101)).status == 400
    assert (await door.send("GET", "/shop/v1/orders?state=" + "x" * 9000)).status == 414


@pytest.mark.parametrize(("annotation", "good", "bad"), [
    (bool, "true", "1"),
    (int | None, "-3", "3e0"),
    (float, "2.50", "1e400"),
    (list[int], "4", "four"),
])  # fmt: skip
def test_shapes_follow_the_annotation(annotation, good, bad):
    check = query_checker({"p": parameter_of(annotation, repeated=False)})
    check(f"p={good}".encode())
    with pytest.raises(Invalid):
        check(f"p={bad}".encode())
