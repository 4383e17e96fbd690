"""Observe, sample and enforce: what passes, what is told, and what no mode lets through."""

import json
from typing import Annotated

import pytest
from msgspec import Meta, Struct

from gateway.edge.strict import forgiving_decoder, json_decoder
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import CrossdockError, Invalid, Rejected
from gateway.kernel.exchange import Exchange, Route
from gateway.kernel.validation import JsonLimits, Mode
from gateway.telemetry.counters import Counters
from gateway.telemetry.violations import Violations
from policies.validate_request.options import RequestRule, ValidateRequestOptions
from policies.validate_request.policy import ValidateRequest


class Line(Struct, forbid_unknown_fields=True):
    sku: Annotated[str, Meta(max_length=5)]
    quantity: int


class Order(Struct, forbid_unknown_fields=True):
    lines: list[Line]


GOOD = {"lines": [{"sku": "A", "quantity": 1}]}
MISFITS = {
    "an unknown member": b'{"lines":[{"sku":"A","quantity":1,"colour":"red"}],"x":1}',
    "a text for a number": b'{"lines":[{"sku":"A","quantity":"1"}]}',
    "a key twice": b'{"lines":[],"lines":[{"sku":"A","quantity":1}]}',
}
HOPELESS = {
    "no json": b'{"lines":',
    "no such shape": b'{"lines":5}',
    "too long a text": b'{"lines":[{"sku":"ABCDEF","quantity":1}]}',
    "half a surrogate pair": b'{"lines":[{"sku":"\\ud800","quantity":1}]}',
    "a control character": b'{"lines":[{"sku":"\\u0000","quantity":1}]}',
    "too deep": b'{"lines":' + b"[" * 100 + b"]" * 100 + b"}",
    "no body": b"",
}


def no_query(_query):
    raise Invalid("unknown parameter", code="request.query", syntax=True)


def exchange(body, content_type=b"application/json", query=b"", *, api="shop", version="v1", **route):
    made = Exchange({"type": "http", "method": "POST", "path": "/", "query_string": query}, None, 0.0)
    made.headers, made.body, made.request_id, made.decisions = {b"content-type": content_type}, body, "req_1", []
    made.route = Route(
        **{
            "id": "POST /orders",
            "method": "POST",
            "template": "/orders",
            "zone": None,
            "check_query": no_query,
            "decode": json_decoder(Order),
            "forgive": forgiving_decoder(Order),
            "api": api,
            "version": version,
            **route,
        }
    )
    return made


def policy(**options):
    counters = Counters()
    made = ValidateRequest(ValidateRequestOptions(**options), Violations("request", counters, SystemClock()))
    return made, counters.counter("crossdock_request_violations_total", "", ("route", "outcome"))


@pytest.mark.parametrize("body", MISFITS.values(), ids=MISFITS)
def test_observe_lets_a_misfit_pass_and_tells_of_it(body, caplog):
    observing, count = policy(mode=Mode.OBSERVE)
    made = exchange(body)
    observing.admit(made)
    assert made.decoded == Order([Line("A", 1)])
    assert list(count.series()) == [({"route": "POST /orders", "outcome": "passed"}, 1)]
    (decision,) = made.decisions
    assert (decision.policy, decision.outcome) == ("validate_request", "observed")
    assert decision.detail.startswith("request.")
    assert "req_1" in caplog.text
    with pytest.raises(Invalid):
        ValidateRequest().admit(exchange(body))


def test_observe_lets_another_content_type_an_unknown_parameter_and_a_large_body_pass():
    for given in (
        {"content_type": b"text/plain"},
        {"content_type": b"application/json; charset=latin-1"},
        {"query": b"x=1"},
    ):
        observing, count = policy(mode=Mode.OBSERVE)
        made = exchange(json.dumps(GOOD).encode(), **given)
        observing.admit(made)
        assert made.decoded == Order([Line("A", 1)])
        assert sum(total for _, total in count.series()) == 1
    observing, count = policy(mode=Mode.OBSERVE, limits=JsonLimits(items=1, size=10))
    made = exchange(json.dumps({"lines": GOOD["lines"] * 3}).encode())
    observing.admit(made)
    assert len(made.decoded.lines) == 3
    assert sum(total for _, total in count.series()) == 1


@pytest.mark.parametrize("body", HOPELESS.values(), ids=HOPELESS)
@pytest.mark.parametrize("options", [{"mode": Mode.OBSERVE}, {"mode": Mode.SAMPLE, "sample": 0.0}, {}])
def test_no_mode_calls_a_handler_with_what_it_cannot_take(options, body):
    checking, _ = policy(**options)
    with pytest.raises(CrossdockError):
        checking.admit(exchange(body))


def test_sample_checks_its_share_and_lets_all_pass():
    body = MISFITS["an unknown member"]
    sampling, count = policy(mode=Mode.SAMPLE, sample=0.2)
    for _ in range(2_000):
        made = exchange(body)
        sampling.admit(made)
        assert made.decoded == Order([Line("A", 1)])
    told = sum(total for _, total in count.series())
    assert 280 < told < 520


def test_what_fits_is_told_by_no_mode():
    for mode in Mode:
        checking, count = policy(mode=mode, sample=1.0)
        made = exchange(json.dumps(GOOD).encode())
        checking.admit(made)
        assert made.decoded == Order([Line("A", 1)])
        assert not list(count.series())
        assert not made.decisions


def test_the_closest_rule_counts_part_by_part():
    tight = JsonLimits(items=1)
    options = ValidateRequestOptions(
        sample=0.5,
        apis={
            "shop": RequestRule(mode=Mode.OBSERVE, limits=tight),
            "shop/v2": RequestRule(mode=Mode.SAMPLE),
        },
        operations={"POST /orders": RequestRule(sample=1.0)},
    )
    assert options.of(exchange(b"", version="v1", id="POST /x").route) == (Mode.OBSERVE, 0.5, tight)
    assert options.of(exchange(b"", version="v2", id="POST /x").route) == (Mode.SAMPLE, 0.5, tight)
    assert options.of(exchange(b"", version="v2").route) == (Mode.SAMPLE, 1.0, tight)
    assert options.of(exchange(b"", api="other", id="POST /x").route) == (Mode.ENFORCE, 0.5, JsonLimits())


def test_an_operations_own_limits_are_enforced_and_others_keep_theirs():
    checking, _ = policy(operations={"POST /orders": RequestRule(limits=JsonLimits(items=2, size=200))})
    three = json.dumps({"lines": GOOD["lines"] * 3}).encode()
    with pytest.raises(Invalid) as refused:
        checking.admit(exchange(three))
    assert refused.value.problems[0].pointer == "/lines"
    with pytest.raises(Rejected) as large:
        checking.admit(exchange(three + b" " * 200))
    assert large.value.code == "request.body_too_large"
    checking.admit(exchange(three, id="POST /other"))


def test_a_contract_of_somebody_else_is_checked_in_its_own_mode():
    def check(_exchange):
        raise Invalid("no", code="request.body_invalid")

    observing, _ = policy(mode=Mode.OBSERVE)
    with pytest.raises(Invalid):
        observing.admit(exchange(b"{}", check_request=check))


def test_a_share_is_between_0_and_1():
    for wrong in (-0.1, 1.1):
        with pytest.raises(ValueError, match="share"):
            ValidateRequestOptions(sample=wrong)
        with pytest.raises(ValueError, match="share"):
            RequestRule(sample=wrong)


def test_of_many_misfits_one_a_minute_is_logged_and_alerted(caplog):
    class Held:
        seconds = 0.0

        def monotonic(self):
            return self.seconds

    clock, alerts = Held(), []
    told = Violations("response", Counters(), clock, lambda *alert: alerts.append(alert))
    for _ in range(50):
        told.add("GET /x", "passed", "req_1", "why")
    told.add("GET /y", "passed", "req_2", "why")
    assert len(caplog.records) == len(alerts) == 2
    clock.seconds = 61.0
    told.add("GET /x", "passed", "req_3", "why")
    assert "49 more" in caplog.records[-1].getMessage()
    assert alerts[-1] == ("GET /x", "req_3", "why")
