"""What the router does not know: matched as OpenAPI has it, and fuzzed against a matcher too simple to be wrong."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.edge.routes import RouteTable
from gateway.kernel.context import Zone
from gateway.kernel.errors import Misconfigured
from gateway.kernel.exchange import Route

WORDS = ("a", "b", "c", "d")
segment = st.sampled_from([*WORDS, "{x}", "{y}"])
template = st.lists(segment, min_size=1, max_size=5)
METHODS = ("GET", "POST")


def table_of(templates):
    """The table and the templates that it took, those with the same shape left out."""
    table, shapes = RouteTable(), {}
    for segments in templates:
        named = [f"{{p{place}}}" if each[0] == "{" else each for place, each in enumerate(segments)]
        path = "/".join(named)
        if path in shapes:
            continue
        shapes[path] = named
        table.add(
            Route(id=f"GET /{path}", method="GET", template=f"/{path}", api="a", version="v1", zone=Zone.SYSTEM), named
        )
    return table, list(shapes.values())


def naive(templates, path):
    """All templates that fit, the one with a literal where the others have a parameter first."""
    segments = path.split("/")[1:]
    fitting = [
        each
        for each in templates
        if len(each) == len(segments)
        and all(ours[0] == "{" or ours == theirs for ours, theirs in zip(each, segments, strict=True))
    ]
    if not fitting:
        return None, {}
    best = min(fitting, key=lambda each: [part[0] == "{" for part in each])
    return "/" + "/".join(best), {
        ours[1:-1]: theirs for ours, theirs in zip(best, segments, strict=True) if ours[0] == "{"
    }


@settings(max_examples=1500)
@example(templates=[["a", "{x}", "c"], ["a", "b", "d"]], segments=["a", "b", "c"])
@example(templates=[["{x}", "b"], ["a", "{x}", "c"]], segments=["a", "b"])
@given(
    templates=st.lists(template, min_size=1, max_size=12),
    segments=st.lists(st.sampled_from([*WORDS, "other"]), min_size=1, max_size=6),
)
def test_the_table_comes_to_the_template_that_a_naive_matcher_chooses(templates, segments):
    table, taken = table_of(templates)
    path = "/" + "/".join(segments)
    expected, values = naive(taken, path)
    route, params, _ = table.locate("GET", path)
    assert (route.template if route.matched else None, dict(params)) == (expected, values)
    assert {found.template for found in table.routes} == {"/" + "/".join(each) for each in taken}


def test_the_path_decides_before_the_method():
    table, _ = table_of([["users", "me"], ["users", "{id}"]])
    table.add(
        Route(id="PUT /users/{id}", method="PUT", template="/users/{id}", api="a", version="v1", zone=Zone.SYSTEM),
        ["users", "{id}"],
    )
    refused, _, allowed = table.locate("PUT", "/users/me")
    assert (refused.matched, "GET" in allowed, "PUT" in allowed) == (False, True, False)
    assert table.locate("PUT", "/users/you")[0].matched


def test_one_operation_is_not_served_twice():
    with pytest.raises(Misconfigured, match="twice"):
        table_of([["a"], ["a"]])[0].add(
            Route(id="GET /a", method="GET", template="/a", api="a", version="v1", zone=Zone.SYSTEM), ["a"]
        )
