"""The headers of a version that will end."""

from datetime import UTC, datetime

from gateway.kernel.exchange import Exchange, Route
from gateway.kernel.lifecycle import Lifecycle
from policies.deprecation.options import DeprecationOptions
from policies.deprecation.policy import Deprecation

DATED = Lifecycle(
    api="shop",
    version="v1",
    deprecated_at=datetime(2026, 11, 21, 12, tzinfo=UTC),
    sunset_at=datetime(2027, 5, 1, tzinfo=UTC),
    successor="/shop/v2",
    documentation="/docs/shop-v2",
)


def concluded(version):
    request = Exchange({"type": "http", "method": "GET", "path": "/"}, None, 0.0)
    request.route = Route(id="x", method="GET", template="/", api="shop", version=version, zone=None)
    Deprecation(DeprecationOptions(lifecycles=(DATED,))).conclude(request)
    return request.reply_headers


def test_a_dated_version_tells_its_dates_and_where_to_go():
    assert concluded("v1") == [
        (b"deprecation", b"@1795262400"),
        (b"sunset", b"Sat, 01 May 2027 00:00:00 GMT"),
        (b"link", b'</docs/shop-v2>; rel="deprecation sunset"'),
        (b"link", b'</shop/v2>; rel="successor-version"'),
    ]


def test_a_version_without_dates_says_nothing():
    assert concluded("v2") == []
