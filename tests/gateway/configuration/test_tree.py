from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.configuration.tree import (
    Configuration,
    Notifications,
    Peers,
    check_names,
    decode,
    encode,
    read_configuration,
    sha256_of,
    toml_of,
)
from gateway.kernel.errors import Misconfigured, Rejected
from gateway.kernel.lifecycle import Brownout, Lifecycle
from policies.rate_limit.options import Limit, Mode, PlanLimits, RateLimitOptions, WhenStoreDown

INSTANT = datetime(2027, 1, 1, tzinfo=UTC)

rates = st.builds(lambda n, unit: f"{n}/{unit}", st.integers(1, 10**6), st.sampled_from(["second", "minute", "hour"]))
any_limit = st.builds(
    Limit,
    rate=rates,
    burst=st.none() | st.integers(1, 1000),
    mode=st.sampled_from(Mode),
    when_store_down=st.sampled_from(WhenStoreDown),
)
plans = st.dictionaries(
    st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=4),
    st.builds(
        PlanLimits,
        default=any_limit,
        operations=st.dictionaries(st.sampled_from(["GET /a/v1/x", 'POST "b"\\']), any_limit),
    ),
    max_size=2,
).map(lambda found: {"standard": PlanLimits(default=Limit(rate="1/second")), **found})
lifecycles = st.builds(
    Lifecycle,
    api=st.just("storefront"),
    version=st.sampled_from(["v1", "v2"]),
    deprecated_at=st.just(INSTANT),
    sunset_at=st.none() | st.just(INSTANT + timedelta(days=90)),
    brownouts=st.lists(st.just(Brownout(INSTANT, INSTANT + timedelta(hours=1))), max_size=1).map(tuple),
)
trees = st.builds(
    Configuration,
    rate_limit=st.builds(RateLimitOptions, plans=plans, failure_cost=st.integers(0, 1000)),
    lifecycles=st.lists(lifecycles, max_size=2, unique_by=lambda each: each.version).map(tuple),
    peers=st.builds(Peers, trusted=st.sampled_from([(), ("10.0.0.0/8", "::1/128")]), hops=st.integers(1, 3)),
    notifications=st.just(Notifications(private_targets=("127.0.0.0/8",))),
)


@settings(max_examples=30)
@given(trees)
def test_what_show_prints_apply_reads_as_the_same_tree(tree):
    assert read_configuration(toml_of(tree), name="printed") == tree
    assert decode(encode(tree).decode()) == tree
    assert sha256_of(decode(encode(tree).decode())) == sha256_of(tree)


def test_an_empty_file_is_all_defaults():
    assert read_configuration("", name="empty") == Configuration()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rate_limit = 3", "Expected `object`"),
        ("[rate_limits]", "unknown field `rate_limits`"),
        ("[rate_limit.addresses]\nrate = 'often'", "'often' is not understood"),
        ("[rate_limit.addresses]\nrate = '0/minute'", "at least 1"),
        ("[rate_limit.plans.gold.default]\nrate = '5/minute'", "lacks standard"),
        ("[rate_limit]\nworkers = 2", "http.workers"),
        ("[rate_limit]\nbuckets = 0", "at least 1"),
        ("[peers]\ntrusted = ['10.0.0.300']", "peers.trusted"),
        ("[peers]\nhops = 0", "hops"),
        ("[notifications]\nprivate_targets = ['here']", "private_targets"),
        ("[[lifecycles]]\napi = 'a'\nversion = 'v1'\nsunset_at = 2027-01-01T00:00:00Z", "deprecation date"),
        ("[[lifecycles]]\napi = 'a'\nversion = 'v1'\n[[lifecycles]]\napi = 'a'\nversion = 'v1'", "twice"),
        ("rate_limit = [", "Invalid"),
    ],
)
def test_a_file_that_nothing_can_be_built_of_is_refused_with_its_name(text, said):
    with pytest.raises(Misconfigured, match=r"new\.toml: ") as refused:
        read_configuration(text, name="new.toml")
    assert said in refused.value.detail
    assert refused.value.code == "configuration.invalid"


def test_operations_that_nothing_serves_are_named():
    wanted = Configuration(
        rate_limit=RateLimitOptions(
            plans={"standard": PlanLimits(default=Limit(rate="1/second"), operations={"GET /x": Limit(rate="1/hour")})}
        ),
    )
    with pytest.raises(Rejected) as refused:
        check_names(wanted, routes={"GET /y": ("shop", "v1")})
    assert "rate_limit.plans.standard.operations: 'GET /x'" in refused.value.detail
    check_names(wanted, routes={"GET /x": ("shop", "v1")})


def test_a_name_with_del_and_one_beyond_the_basic_plane_are_written_as_toml_takes_them():
    named = {name: PlanLimits(default=Limit(rate="1/second")) for name in ("standard", "a\x7fb", "\U0001d518", 'q"\\')}
    tree = Configuration(rate_limit=RateLimitOptions(plans=named))
    assert read_configuration(toml_of(tree), name="printed") == tree


def test_rules_of_validation_are_written_as_they_are_read_and_name_what_is_served():
    text = """
    [validate_request.apis.shop]
    mode = "observe"
    [validate_request.operations."POST /x"]
    sample = 0.5
    limits = { items = 5, size = 100 }
    [validate_response]
    mode = "observe"
    [validate_response.apis."shop/v1"]
    mode = "enforce"
    """
    tree = read_configuration(text, name="new.toml")
    assert read_configuration(toml_of(tree), name="printed") == tree
    check_names(tree, routes={"POST /x": ("shop", "v1")})
    with pytest.raises(Rejected) as refused:
        check_names(tree, routes={"GET /y": ("shop", "v2")})
    for named in ("validate_request.operations: 'POST /x'", "validate_response.apis: 'shop/v1'"):
        assert named in refused.value.detail
    for wrong in ("[validate_request]\nsample = 2", "[validate_response.apis.x]\nsample = -1"):
        with pytest.raises(Misconfigured, match="share"):
            read_configuration(wrong, name="new.toml")
