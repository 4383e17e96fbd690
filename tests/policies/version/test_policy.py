"""Which version a request means, and what becomes of one that has ended."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.kernel.errors import Misconfigured, Rejected, Unavailable
from gateway.kernel.exchange import Exchange, Route
from gateway.kernel.lifecycle import Brownout, Lifecycle
from policies.version.options import VersionOptions
from policies.version.policy import Version

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
NOTHING = Route(id="unmatched", method="GET", template="/", api="", version="", zone=None, matched=False)


class Still:
    def now(self):
        return NOON

    def monotonic(self):
        return 0.0


class Table:
    def locate(self, method, path):
        for version in ("v1", "v2"):
            if path == f"/shop/{version}/orders":
                route = Route(id=path, method="GET", template=path, api="shop", version=version, zone=None)
                return route, {}, ()
        return NOTHING, {}, ()


def admitted(path, version=None, *lifecycles):
    request = Exchange({"type": "http", "method": "GET", "path": path}, None, 0.0)
    request.path = path
    request.headers = {b"api-version": version} if version else {}
    Version(Table(), Still(), VersionOptions(lifecycles=lifecycles)).admit(request)
    return request


def test_the_path_decides():
    assert admitted("/shop/v2/orders").route.version == "v2"
    assert not admitted("/shop/v3/orders").route.matched


@pytest.mark.parametrize("asked", [b"v1", b"1"])
def test_a_header_may_select_where_the_path_does_not_say(asked):
    request = admitted("/shop/orders", asked)
    assert (request.route.version, request.path, request.scope["path"]) == ("v1", "/shop/v1/orders", "/shop/v1/orders")


def test_a_header_and_a_path_that_disagree_are_refused():
    assert admitted("/shop/v1/orders", b"v1").route.version == "v1"
    with pytest.raises(Rejected, match="different"):
        admitted("/shop/v1/orders", b"v2")


@pytest.mark.parametrize("asked", [b"latest", b"0", b"v1.2", b"v99999", b"\xff"])
def test_a_header_that_names_no_version_is_refused(asked):
    with pytest.raises(Rejected) as refused:
        admitted("/shop/orders", asked)
    assert refused.value.code == "request.version"


def test_an_unknown_version_in_the_header_is_not_found():
    assert not admitted("/shop/orders", b"v7").route.matched


def test_a_version_past_its_sunset_is_gone_and_the_others_live():
    ended = Lifecycle(
        api="shop", version="v1", deprecated_at=NOON - timedelta(days=9), sunset_at=NOON, successor="/shop/v2"
    )
    with pytest.raises(Rejected, match="/shop/v2") as refused:
        admitted("/shop/v1/orders", None, ended)
    assert refused.value.code == "version.sunset"
    assert admitted("/shop/v2/orders", None, ended).route.version == "v2"


def test_a_brownout_says_when_it_ends():
    window = Brownout(NOON - timedelta(minutes=5), NOON + timedelta(minutes=5))
    dated = Lifecycle(api="shop", version="v1", deprecated_at=NOON - timedelta(days=1), brownouts=(window,))
    with pytest.raises(Unavailable) as refused:
        admitted("/shop/v1/orders", None, dated)
    assert (refused.value.code, refused.value.retry_after) == ("version.brownout", 300)


def test_a_sunset_before_its_deprecation_is_refused():
    with pytest.raises(Misconfigured):
        Lifecycle(api="shop", version="v1", deprecated_at=NOON, sunset_at=NOON - timedelta(days=1))
    with pytest.raises(Misconfigured):
        Lifecycle(api="shop", version="v1", sunset_at=NOON)
