"""Answers that break their contract are reported; a committed effect's answer is never withheld."""

from collections import Counter
from enum import StrEnum

import msgspec
import pytest

from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import CrossdockError
from gateway.kernel.exchange import Exchange, Reply, Route
from gateway.kernel.validation import Mode
from gateway.telemetry.counters import Counters
from gateway.telemetry.violations import Violations
from policies.validate_response.options import ResponseRule, ValidateResponseOptions
from policies.validate_response.policy import ValidateResponse


class Figure(msgspec.Struct):
    amount: int


class Kind(StrEnum):
    CASE = "case"


def exchange(method, body, status=200, **route):
    request = Exchange({"type": "http", "method": method, "path": "/"}, None, 0.0)
    decoder = msgspec.json.Decoder(Figure)
    given = {"id": "r", "api": "a", "version": "v1", "check_reply": decoder.decode, **route}
    request.route = Route(method=method, template="/", zone=None, **given)
    request.reply = Reply(status, [], body)
    return request


def policy(**options):
    counters, alerts = Counters(), []
    violations = Violations("response", counters, SystemClock(), lambda *alert: alerts.append(alert))
    made = ValidateResponse(ValidateResponseOptions(**options), violations)
    counted = counters.counter("crossdock_response_violations_total", "", ("route", "outcome"))

    def by_outcome():
        found = Counter()
        for labels, total in counted.series():
            found[labels["outcome"]] += total
        return found

    return made, by_outcome, alerts


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.SAMPLE])
@pytest.mark.parametrize("body", [b'{"amount":"5"}', b"{}", b"junk", b"\xff"])
def test_a_misfit_is_counted_logged_and_alerted_and_still_sent(mode, body, caplog):
    checking, counted, alerts = policy(mode=mode, sample=1.0)
    for method in ("GET", "POST"):
        made = exchange(method, body)
        checking.conclude(made)
        assert made.reply.body == body
    assert counted() == {"passed": 2}
    assert [alert[0] for alert in alerts] == ["r"]
    assert "does not fit its contract" in caplog.text


def test_enforce_withholds_from_reads_and_never_from_changes():
    checking, counted, _ = policy(mode=Mode.ENFORCE)
    with pytest.raises(CrossdockError) as withheld:
        checking.conclude(exchange("GET", b"{}"))
    assert withheld.value.code == "response.invalid"
    checking.conclude(exchange("POST", b"{}"))
    assert counted() == {"withheld": 1, "passed": 1}


def test_what_stood_in_an_answer_is_not_told(caplog):
    checking, _, alerts = policy(mode=Mode.OBSERVE)
    checked = msgspec.json.Decoder(dict[str, Kind]).decode
    checking.conclude(exchange("GET", b'{"x":"secret customer"}', check_reply=checked))
    assert "secret customer" not in caplog.text + str(alerts)
    assert alerts


def test_what_fits_and_what_is_no_success_is_left_alone():
    checking, counted, _ = policy(mode=Mode.OBSERVE)
    checking.conclude(exchange("GET", b'{"amount":5}'))
    checking.conclude(exchange("GET", b'{"code":"x"}', 404))
    checking.conclude(exchange("GET", b""))
    checking.conclude(exchange("GET", b"{}", check_reply=None))
    assert counted() == {}


def test_a_sample_checks_its_share_of_each_operation():
    checking, counted, _ = policy(sample=0.05, operations={"often": ResponseRule(sample=0.5)})
    seldom, often = exchange("GET", b"{}"), exchange("GET", b"{}", id="often")
    for _ in range(4_000):
        checking.conclude(seldom)
    assert 120 < counted()["passed"] < 290
    before = counted()["passed"]
    for _ in range(4_000):
        checking.conclude(often)
    assert 1_800 < counted()["passed"] - before < 2_200


def test_nothing_is_looked_at_where_nothing_is_sampled():
    checking, counted, _ = policy(sample=0.0)
    assert not checking.concludes
    checking.conclude(exchange("GET", b"{}"))
    assert counted() == {}


def test_one_operation_is_observed_while_the_others_are_not():
    checking, counted, _ = policy(
        sample=0.0, apis={"b": ResponseRule(mode=Mode.OBSERVE)}, operations={"x": ResponseRule(mode=Mode.ENFORCE)}
    )
    assert checking.concludes
    assert not checking.concerns(exchange("GET", b"").route)
    assert checking.concerns(exchange("GET", b"", api="b", id="of b").route)
    checking.conclude(exchange("GET", b"{}"))
    assert counted() == {}
    checking.conclude(exchange("GET", b"{}", api="b", id="of b"))
    assert counted() == {"passed": 1}
    with pytest.raises(CrossdockError):
        checking.conclude(exchange("GET", b"{}", id="x", api="b"))
