import hashlib
import hmac

import pytest

from gateway.kernel.errors import NotAuthenticated
from gateway.kernel.secrets import Secret
from system_apis.regional_wms.signature import verify

NOW = 1_800_000_000.0
BODY = b'{"delivery_id": "d", "events": []}'


def signed(secret="s1", stamp=str(int(NOW)), body=BODY):
    mac = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"x-wms-timestamp": stamp, "x-wms-signature": f"v1={mac}"}


def check(headers, body=BODY, secrets=("s1",), now=NOW):
    verify(headers, body, secrets=[Secret(secret) for secret in secrets], now=now, tolerance=300)


def test_the_present_and_the_previous_secret_are_taken():
    check(signed("s1"), secrets=("s1", "s0"))
    check(signed("s0"), secrets=("s1", "s0"))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        signed("other"),
        {**signed(), "x-wms-timestamp": str(int(NOW) + 1)},
        {**signed(), "x-wms-timestamp": "٣"},
        {**signed(), "x-wms-timestamp": "1" * 400},
        {**signed(), "x-wms-signature": signed()["x-wms-signature"].replace("v1", "v2")},
        {**signed(), "x-wms-signature": "v1=é"},
        {**signed(), "x-wms-signature": ""},
    ],
)
def test_what_is_not_signed_by_the_vendor_is_refused(headers):
    with pytest.raises(NotAuthenticated):
        check(headers)


def test_a_changed_body_is_refused():
    with pytest.raises(NotAuthenticated):
        check(signed(), body=BODY + b" ")


@pytest.mark.parametrize("age", [301, -301])
def test_an_old_or_future_webhook_is_refused_although_it_is_signed(age):
    with pytest.raises(NotAuthenticated):
        check(signed(), now=NOW + age)
