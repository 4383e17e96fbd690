"""An API behind us that tells dates of its own."""

import logging
from datetime import UTC, datetime

import pytest

from gateway.kernel.exchange import Exchange, Reply, Route
from gateway.kernel.lifecycle import Lifecycle
from gateway.telemetry.counters import Counters
from policies.deprecation.options import DeprecationOptions
from policies.deprecation.policy import Deprecation
from policies.deprecation.upstream import Contradictions

DATED = Lifecycle(
    api="parts",
    version="v1",
    deprecated_at=datetime(2026, 11, 21, 12, tzinfo=UTC),
    sunset_at=datetime(2027, 5, 1, tzinfo=UTC),
    successor="/parts/v2",
)
OURS = [
    (b"deprecation", b"@1795262400"),
    (b"sunset", b"Sat, 01 May 2027 00:00:00 GMT"),
    (b"link", b'</parts/v2>; rel="successor-version"'),
]
KIND = (b"content-type", b"application/json")


def answered(headers, lifecycles=(DATED,), counters=None):
    """All fields that leave, and what was counted by field."""
    counters = counters or Counters()
    exchange = Exchange({"type": "http", "method": "GET", "path": "/"}, None, 0.0)
    exchange.route = Route(id="x", method="GET", template="/", api="parts", version="v1", zone=None)
    exchange.reply = Reply(200, [KIND, *headers], b"{}")
    policy = Deprecation(DeprecationOptions(lifecycles=lifecycles), Contradictions(counters))
    if policy.concerns(exchange.route):
        policy.conclude(exchange)
    (counted,) = counters.families()
    return [*exchange.reply.headers, *exchange.reply_headers], {labels[2]: count for labels, count in counted.series}


def test_without_dates_of_ours_its_fields_go_on_as_they_are():
    theirs = [(b"deprecation", b"@1"), (b"sunset", b"Sat, 01 May 2027 00:00:00 GMT"), (b"link", b"</v2>; rel=sunset")]
    assert answered(theirs, lifecycles=()) == ([KIND, *theirs], {})


def test_with_dates_of_ours_callers_are_told_ours_alone_and_other_links_stay():
    theirs = [
        (b"deprecation", b"@1"),
        (b"sunset", b"Sat, 01 May 2027 00:00:00 GMT"),
        (b"link", b'</a,b?page=2>; rel="next", </v9>; title="a, b"; rel="successor-version", </n>; REL=Deprecation'),
        (b"link", b"</docs>; rel=sunset"),
    ]
    headers, counted = answered(theirs)
    assert headers == [KIND, (b"link", b'</a,b?page=2>; rel="next"'), *OURS]
    assert counted == {"deprecation": 1}


@pytest.mark.parametrize(
    ("name", "value", "contradicts"),
    [
        (b"deprecation", b"@1795262400", False),
        (b"deprecation", b"true", False),
        (b"deprecation", b"Sat, 21 Nov 2026 12:00:00 GMT", False),
        (b"deprecation", b"@1795262401", True),
        (b"deprecation", b"soon", True),
        (b"deprecation", b"@999999999999", True),
        (b"sunset", b"Sat, 01 May 2027 00:00:00 GMT", False),
        (b"sunset", b"Sat, 01 May 2027 02:00:00 +0200", False),
        (b"sunset", b"Fri, 30 Apr 2027 00:00:00 GMT", True),
        (b"sunset", b"Sat, 99 May 2027 00:00:00 GMT", True),
        (b"sunset", b"\xff", True),
    ],
    ids=range(11),
)
def test_a_date_contradicts_when_it_is_another_instant_than_the_declared_one(name, value, contradicts):
    headers, counted = answered([(name, value)])
    assert headers == [KIND, *OURS]
    assert counted == ({name.decode(): 1} if contradicts else {})


def test_every_contradiction_is_counted_and_each_date_logged_once(caplog):
    counters = Counters()
    told = Contradictions(counters)
    with caplog.at_level(logging.WARNING, logger="crossdock.lifecycle"):
        for value in (b"@1", b"@1", b"@2", b"@2"):
            told.add(DATED, "deprecation", value)
    (counted,) = counters.families()
    assert counted.series == [(("parts", "v1", "deprecation"), 4)]
    assert len(caplog.records) == 2
    assert "parts v1 answers with deprecation b'@1'" in caplog.messages[0]


def test_an_unclosed_quotation_is_read_in_little_time():
    headers, _ = answered([(b"link", b'<a>; rel=sunset; t="' * 2_000)])
    assert headers == [KIND, *OURS]
