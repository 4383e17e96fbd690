"""Headers after hygiene mean one thing, and nothing that their sender may not say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.kernel.errors import Misconfigured, Rejected
from gateway.kernel.exchange import Exchange
from policies.message_hygiene.options import MessageHygieneOptions
from policies.message_hygiene.policy import MessageHygiene

HOST = (b"host", b"api.example.com")


def admitted(fields, client=("192.0.2.7", 4711), **options):
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [HOST, *fields], "client": client}
    request = Exchange(scope, None, 0.0)
    MessageHygiene(MessageHygieneOptions(**options)).admit(request)
    return request


def refused(fields, **options):
    with pytest.raises(Rejected) as error:
        admitted(fields, **options)
    return error.value.code


@pytest.mark.parametrize(
    "name",
    [
        "x-http-method-override", "x-original-url", "x-rewrite-url", "x-crossdock-principal", "x-identity-header",
        "x_crossdock_principal", "x.crossdock.principal", "authorization_", "x-user-id", "x-remote-user", "remote-user",
        "x-real-ip", "baggage", "connection", "te", "x-request-id", "x-forwarded-for", "forwarded", "client-cert",
        "host_", "content_length", "x_forwarded_for",
    ],
)  # fmt: skip
def test_what_a_client_may_not_say_is_dropped(name):
    request = admitted([(name.encode(), b"evil")])
    assert list(request.headers) == [b"host"]
    assert request.scope["headers"] == [HOST]


def test_connection_cannot_strip_what_is_ours():
    request = admitted([(b"connection", b"authorization, x-api-key"), (b"authorization", b"Bearer x")])
    assert request.headers[b"authorization"] == b"Bearer x"


@pytest.mark.parametrize(
    "name", ["host", "authorization", "content-length", "content-type", "idempotency-key", "x-api-key", "dpop"]
)
def test_a_singleton_given_twice_is_refused(name):
    assert refused([(name.encode(), b"1"), (name.encode(), b"1")]) == "request.header_repeated"


def test_lists_are_joined_and_cookies_with_their_own_separator():
    request = admitted([(b"accept", b"a/b"), (b"accept", b"c/d"), (b"cookie", b"a=1"), (b"cookie", b"b=2")])
    assert request.headers[b"accept"] == b"a/b, c/d"
    assert request.headers[b"cookie"] == b"a=1; b=2"
    assert (b"accept", b"a/b, c/d") in request.scope["headers"]


@pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\nb", b"a\0b"])
def test_values_that_split_are_refused(value):
    assert refused([(b"x-note", value)]) == "request.header_value"


@pytest.mark.parametrize(
    "fields",
    [
        [(b"x-%d" % number, b"v") for number in range(101)],
        [(b"x-big", b"v" * 65_536)],
        [(b"x-%d" % number, b"v" * 1000) for number in range(40)],
    ],
    ids=["many", "long", "large"],
)
def test_too_many_or_too_large_headers_are_431(fields):
    assert refused(fields) == "request.header_fields_too_large"


@pytest.mark.parametrize("host", [b"", b"a b", b"a/b", b"evil@good", b"a:port", b"[::1", b"-x", b"a" * 300])
def test_a_malformed_host_is_refused(host):
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", host)], "client": None}
    with pytest.raises(Rejected) as error:
        MessageHygiene().admit(Exchange(scope, None, 0.0))
    assert error.value.code == "request.host"


def test_a_missing_host_is_refused_and_a_strange_one_is_misdirected():
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "client": None}
    with pytest.raises(Rejected):
        MessageHygiene().admit(Exchange(scope, None, 0.0))
    assert refused([], hosts=frozenset({"other.example.com"})) == "request.misdirected"
    assert admitted([], hosts=frozenset({"api.example.com"})).headers[b"host"] == b"api.example.com"


def test_ambiguous_framing_and_compression_are_refused():
    assert refused([(b"content-length", b"1"), (b"transfer-encoding", b"chunked")]) == "request.framing"
    for coding in (b"gzip, chunked", b"chunked, chunked", b"identity", b"", b"x"):
        assert refused([(b"transfer-encoding", coding)]) == "request.framing"
    assert refused([(b"content-encoding", b"gzip")]) == "request.content_encoding"


def test_rotating_x_forwarded_for_changes_nothing_for_an_untrusted_peer():
    peers = {admitted([(b"x-forwarded-for", b"10.0.0.%d" % number)]).peer for number in range(20)}
    assert peers == {"192.0.2.7"}


@pytest.mark.parametrize(
    ("value", "hops", "peer"),
    [
        (b"203.0.113.9", 1, "203.0.113.9"),
        (b"6.6.6.6, 203.0.113.9", 1, "203.0.113.9"),
        (b"6.6.6.6, 203.0.113.9, 10.0.0.1", 2, "203.0.113.9"),
        (b"203.0.113.9", 2, "192.0.2.7"),
        (b"nonsense", 1, "192.0.2.7"),
        (b"", 1, "192.0.2.7"),
    ],
)
def test_a_trusted_peer_is_believed_a_fixed_number_of_hops_from_the_right(value, hops, peer):
    request = admitted([(b"x-forwarded-for", value)], trusted_peers=("192.0.2.0/24",), hops=hops)
    assert request.peer == peer
    assert b"x-forwarded-for" not in request.headers


def test_a_unix_socket_is_trusted():
    assert admitted([(b"x-forwarded-for", b"203.0.113.9")], client=None).peer == "203.0.113.9"


def test_a_network_that_is_none_is_misconfigured():
    with pytest.raises(Misconfigured, match="trusted_peers"):
        MessageHygiene(MessageHygieneOptions(trusted_peers=("everywhere",)))


def test_what_it_remembers_is_bounded():
    policy = MessageHygiene()
    for number in range(5000):
        fields = [(b"host", b"h%d" % number), (b"x-%d" % number, b"v")]
        scope = {"type": "http", "method": "GET", "path": "/", "headers": fields, "client": (f"peer{number}", 1)}
        policy.admit(Exchange(scope, None, 0.0))
    assert max(len(policy._plain), len(policy._hosts_seen), len(policy._trust_seen)) <= 2048


_FIELDS = [
    HOST, HOST, (b"accept", b"a/b"), (b"x-crossdock-a", b"1"), (b"x_a", b"1"), (b"x-forwarded-for", b"1.2.3.4"),
    (b"transfer-encoding", b"gzip"), (b"transfer-encoding", b"chunked"), (b"content-length", b"1"),
    (b"content-encoding", b"br"), (b"authorization", b"Bearer x"), (b"x-long", b"v" * 9_000), (b"x-lf", b"a\nb"),
    (b"x-" + b"n" * 70, b"v"), (b"cookie", b"a=1"),
]  # fmt: skip


@given(st.lists(st.lists(st.sampled_from(_FIELDS), max_size=6), min_size=1, max_size=6))
def test_what_it_remembers_changes_nothing(messages):
    seasoned = MessageHygiene()
    for fields in messages:
        assert outcome(seasoned, fields) == outcome(MessageHygiene(), fields)


def outcome(policy, fields):
    scope = {"type": "http", "method": "GET", "path": "/", "headers": list(fields), "client": ("192.0.2.7", 1)}
    request = Exchange(scope, None, 0.0)
    try:
        policy.admit(request)
    except Rejected as error:
        return error.code
    return list(request.headers.items()), scope["headers"], request.peer
