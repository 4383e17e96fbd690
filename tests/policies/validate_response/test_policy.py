"""Answers that break their contract are reported; a committed effect's answer is never withheld."""

import msgspec
import pytest

from gateway.kernel.errors import CrossdockError
from gateway.kernel.exchange import Exchange, Reply, Route
from policies.validate_response.options import ValidateResponseOptions
from policies.validate_response.policy import ValidateResponse


class Figure(msgspec.Struct):
    amount: int


def exchange(method, body, status=200):
    request = Exchange({"type": "http", "method": method, "path": "/"}, None, 0.0)
    decoder = msgspec.json.Decoder(Figure)
    request.route = Route(
        id="r", method=method, template="/", api="a", version="v1", zone=None, check_reply=decoder.decode
    )
    request.reply = Reply(status, [], body)
    return request


@pytest.mark.parametrize("body", [b'{"amount":"5"}', b"{}", b"junk", b"\xff"])
def test_a_misfit_is_reported_and_still_sent(body, caplog):
    reported = []
    policy = ValidateResponse(ValidateResponseOptions(sample=1.0), report=reported.append)
    policy.conclude(exchange("GET", body))
    assert reported == ["r"]
    assert "does not fit its contract" in caplog.text


def test_withholding_is_for_reads_only():
    policy = ValidateResponse(ValidateResponseOptions(sample=1.0, withhold=True))
    with pytest.raises(CrossdockError):
        policy.conclude(exchange("GET", b"{}"))
    policy.conclude(exchange("POST", b"{}"))


def test_what_fits_and_what_is_no_success_is_left_alone():
    reported = []
    policy = ValidateResponse(ValidateResponseOptions(sample=1.0), report=reported.append)
    policy.conclude(exchange("GET", b'{"amount":5}'))
    policy.conclude(exchange("GET", b'{"code":"x"}', 404))
    ValidateResponse(ValidateResponseOptions(sample=0.0), report=reported.append).conclude(exchange("GET", b"{}"))
    assert reported == []
