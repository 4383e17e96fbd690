from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings

from gateway.configuration.changes import Effect, changes
from gateway.configuration.tree import Configuration, Notifications, Peers
from gateway.kernel.lifecycle import Brownout, Lifecycle
from policies.rate_limit.options import Limit, PlanLimits, RateLimitOptions
from policies.validate_response.options import ValidateResponseOptions

from .test_tree import trees

NOW = datetime(2026, 11, 21, tzinfo=UTC)
BASE = Limit(rate="600/minute", burst=60)


def told(before, after):
    return [
        (each.whom, each.what, each.before, each.after, each.effect.value) for each in changes(before, after, now=NOW)
    ]


def of_plans(fallback="standard", **plans):
    listed = {
        name: given if isinstance(given, PlanLimits) else PlanLimits(default=given) for name, given in plans.items()
    }
    return Configuration(rate_limit=RateLimitOptions(plans=listed, fallback_plan=fallback))


@settings(max_examples=30)
@given(trees)
def test_nothing_differs_from_itself(tree):
    assert changes(tree, tree, now=NOW) == []


@settings(max_examples=30)
@given(trees, trees)
def test_two_trees_differ_exactly_when_a_change_is_told(one, other):
    assert bool(changes(one, other, now=NOW)) == (one != other)


@pytest.mark.parametrize(
    ("limit", "effect"),
    [
        (Limit(rate="1200/minute", burst=60), "loosens"),
        (Limit(rate="600/minute", burst=61), "loosens"),
        (Limit(rate="60/minute", burst=60), "tightens"),
        (Limit(rate="1200/minute", burst=6), "tightens"),
        (Limit(rate="600/minute", burst=60, when_store_down="closed"), "tightens"),
        (Limit(rate="600/minute", burst=60, when_store_down="open"), "loosens"),
        (Limit(rate="600/minute", mode="exact"), "changes"),
        (Limit(rate="10/second", burst=60), "changes"),
    ],
)
def test_a_limit_is_told_with_its_plan_and_how_it_is_felt(limit, effect):
    before, after = of_plans(standard=BASE), of_plans(standard=limit)
    [(whom, what, was, _, felt)] = told(before, after)
    assert (whom, what, felt) == ("plan standard", "limit of all calls", effect)
    assert was == "600/minute, burst 60, local_share without the store"


def test_a_plan_that_leaves_the_list_is_compared_with_the_fallback():
    before = of_plans(standard=BASE, gold=Limit(rate="6000/minute", burst=600))
    [(whom, _, _, after, felt)] = told(before, of_plans(standard=BASE))
    assert (whom, felt) == ("plan gold", "tightens")
    assert after.startswith("600/minute")
    assert told(of_plans(standard=BASE), of_plans(standard=BASE, twin=BASE)) == [
        ("plan twin", "plan", "as the fallback plan", "listed", "changes")
    ]


def test_an_operation_with_a_bucket_of_its_own_is_compared_with_the_plan():
    narrow = PlanLimits(default=BASE, operations={"POST /reports": Limit(rate="6/minute", burst=1)})
    [(whom, what, was, after, felt)] = told(of_plans(standard=BASE), of_plans(standard=narrow))
    assert (whom, what, felt) == ("plan standard", "limit of POST /reports", "tightens")
    assert was.startswith("600/minute")
    assert after.startswith("6/minute, burst 1")


def test_dates_of_versions_are_told_by_what_they_do_to_callers():
    def shop(**dates):
        return Configuration(lifecycles=(Lifecycle(api="shop", version="v1", **dates),))

    soon, later, past = NOW + timedelta(days=30), NOW + timedelta(days=90), NOW - timedelta(days=1)
    announced = shop(deprecated_at=past)
    assert [each[1::3] for each in told(Configuration(), announced)] == [("deprecated at", "tightens")]
    dated = shop(deprecated_at=past, sunset_at=later)
    assert told(dated, shop(deprecated_at=past, sunset_at=soon))[0][4] == "tightens"
    assert told(dated, shop(deprecated_at=past, sunset_at=NOW))[0][4] == "breaking"
    assert told(dated, announced)[0][4] == "loosens"
    brown = shop(deprecated_at=past, sunset_at=later, brownouts=(Brownout(soon, soon + timedelta(hours=1)),))
    assert told(dated, brown)[0][1:] == (
        "brownout",
        "-",
        f"{soon.isoformat()} to {(soon + timedelta(hours=1)).isoformat()}",
        "breaking",
    )
    assert told(brown, dated)[0][4] == "loosens"


def test_whom_we_believe_and_where_we_send_is_breaking_to_take_away():
    trusting = Configuration(
        peers=Peers(trusted=("10.0.0.0/8",)), notifications=Notifications(private_targets=("::1",))
    )
    assert [each[4] for each in told(Configuration(), trusting)] == ["loosens", "loosens"]
    assert [each[4] for each in told(trusting, Configuration())] == ["breaking", "breaking"]


def test_what_no_rule_knows_is_still_told():
    after = Configuration(validate_response=ValidateResponseOptions(sample=0.5))
    assert told(Configuration(), after) == [
        ("the gateway", "validate_response.sample", "0.01", "0.5", Effect.CHANGES.value)
    ]
