"""Plans that are administered while the gateway runs."""

import pytest

from gateway.kernel.errors import Invalid
from policies.rate_limit.plans import PlanBook, check_limits

KEY = ("acme", "gold")


def test_a_plan_of_the_record_has_a_default_and_operations_of_its_own():
    book = PlanBook(workers=2)
    book.replace({KEY: {"default": {"rate": "60/minute", "burst": 6}, "operations": {"GET /x": {"rate": "1/minute"}}}})
    default, operations = book.quotas[KEY]
    assert (default.count, default.burst, default.local_burst) == (60, 6, 3)
    assert operations["GET /x"].bucket == "GET /x"


def test_a_plan_that_is_gone_is_gone_and_one_that_cannot_be_read_stays_what_it_was(caplog):
    book = PlanBook(workers=1)
    book.replace({KEY: {"default": {"rate": "60/minute"}}, ("acme", "old"): {"default": {"rate": "1/minute"}}})
    book.replace({KEY: {"default": {"rate": "rubbish"}}})
    assert set(book.quotas) == {KEY}
    assert book.quotas[KEY][0].count == 60
    assert "acme/gold" in caplog.text


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"default": {"rate": "fast"}},
        {"default": {"rate": "60/minute", "burst": 0}},
        {"default": {"rate": "60/minute"}, "operations": {"GET /x": {"rate": ""}}},
        {"default": {"rate": "60/minute", "unknown": 1}},
    ],
)
def test_limits_that_nobody_could_apply_are_refused(limits):
    with pytest.raises(Invalid) as refused:
        check_limits(limits)
    assert refused.value.code == "plan.limits"
