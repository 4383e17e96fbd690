"""One spelling per path; what could be read in two ways is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.kernel.errors import Rejected
from gateway.kernel.exchange import Exchange
from policies.canonical_request.policy import CanonicalRequest, canonical_path


def exchange(raw, method="GET", query=b""):
    scope = {"type": "http", "method": method, "path": "", "raw_path": raw, "query_string": query, "headers": []}
    return Exchange(scope, None, 0.0)


@pytest.mark.parametrize(
    "raw",
    [
        b"/public/..%2fadmin", b"/a%2Fb", b"/a%5cb", b"/a\\b", b"/a%5Cb", b"/%252f", b"/%25", b"/a%00", b"/a%0d%0ab",
        b"/a%7f", b"/a\x00b", b"/a b", b"/%zz", b"/%", b"/%e", b"/%ff", b"/%c0%af", b"/%ed%a0%80", b"/%c2%85", b"*",
        b"http://evil/x", b"a",
    ],
)  # fmt: skip
def test_a_path_with_two_readings_is_refused(raw):
    with pytest.raises(Rejected) as refused:
        CanonicalRequest().admit(exchange(raw))
    assert refused.value.code == "request.path"


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/", "/"), (b"//", "/"), (b"//x", "/x"), (b"/./x", "/x"), (b"/x/", "/x"), (b"/a/../b", "/b"),
        (b"/a/%2e%2e/b", "/b"), (b"/a/%2E/b", "/a/b"), (b"/../../x", "/x"), (b"/%61b", "/ab"), (b"/%C3%A9", "/é"),
        (b"/.well-known/api-catalog", "/.well-known/api-catalog"), (b"/a..b/...", "/a..b/..."), (b"/a;x=1", "/a;x=1"),
        (b"/%2fa"[:1] + b"a%3Fb", "/a?b"),
    ],
)  # fmt: skip
def test_spellings_of_one_path_become_one(raw, path):
    request = exchange(raw)
    CanonicalRequest().admit(request)
    assert request.path == path == request.scope["path"]
    assert request.scope["root_path"] == ""


@given(st.binary(max_size=40))
def test_the_canonical_form_is_its_own_canonical_form(raw):
    request = exchange(b"/" + raw)
    try:
        CanonicalRequest().admit(request)
    except Rejected:
        return
    again = exchange(request.scope["raw_path"])
    CanonicalRequest().admit(again)
    assert again.path == request.path
    assert canonical_path(request.scope["raw_path"]) == request.path
    assert ".." not in request.path.split("/")
    assert "\\" not in request.path


def test_long_paths_and_queries_are_414():
    with pytest.raises(Rejected, match="too long"):
        CanonicalRequest().admit(exchange(b"/" + b"a" * 3000))
    with pytest.raises(Rejected, match="too long"):
        CanonicalRequest().admit(exchange(b"/a", query=b"q" * 9000))


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
def test_methods_that_are_never_served(method):
    with pytest.raises(Rejected) as refused:
        CanonicalRequest().admit(exchange(b"/a", method))
    assert refused.value.code == "request.method_not_allowed"


_PIECES = ["a", "items", "itm_0", "_", ".", "..", "", "%2f", "%61", "a b", "-x", "a.b", "é", "a\n"]


@given(st.lists(st.lists(st.sampled_from(_PIECES), min_size=1, max_size=4), min_size=1, max_size=6))
def test_what_it_remembers_changes_nothing(paths):
    seasoned = CanonicalRequest()
    for path in paths:
        raw = ("/" + "/".join(path)).encode()
        assert outcome(seasoned, raw) == outcome(CanonicalRequest(), raw)


def test_what_it_remembers_is_bounded():
    policy = CanonicalRequest()
    for number in range(3_000):
        policy.admit(exchange(b"/a%d/b" % number))
    policy.admit(exchange(b"/" + b"x" * 300 + b"/b"))
    assert 0 < len(policy._folders) <= 2048
    assert max(map(len, policy._folders)) < 300


def outcome(policy, raw):
    request = exchange(raw)
    try:
        policy.admit(request)
    except Rejected as error:
        return error.code
    return request.path, request.scope["path"], request.scope["raw_path"]
