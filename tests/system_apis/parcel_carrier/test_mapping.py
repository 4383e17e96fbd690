"""Wire ⇄ canonical, and what is believed of a webhook: pure."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from standardwebhooks import Webhook as Signer

from gateway.canonical.capabilities import Webhook
from gateway.canonical.freight import Consignment, MilestoneKind
from gateway.canonical.party import Address
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import BrokenUpstream, NotAuthenticated
from gateway.kernel.money import Money
from gateway.kernel.quantity import Quantity
from gateway.outbound.door import Outbound
from gateway.outbound.json_api import decode
from gateway.outbound.limits import SystemLimits
from system_apis.parcel_carrier import mapping, wire
from system_apis.parcel_carrier.adapter import Adapter
from system_apis.parcel_carrier.settings import Settings

GOODS = Consignment(
    reference="ord_1/north", ship_from="D-1", weight=Quantity(Decimal(2), "KGM"), ready_on=date(2026, 11, 23),
    ship_to=Address(name="Zoë", street="1/2 Main", city="S", postal_code="1", country="US"),
)  # fmt: skip
EVENT = {
    "event_id": "e1", "reference": "ord_1/north", "tracking_number": "T1", "code": "DLV",
    "at": "2026-11-23T10:00:00+00:00", "new_field": 1,
}  # fmt: skip


@given(st.decimals("0.000000001", 900_000, places=9))
def test_a_weight_is_told_in_whole_grams_and_never_too_little(kilograms):
    grams = mapping.rate_request(structs.replace(GOODS, weight=Quantity(kilograms, "KGM"))).grams
    assert 0 <= grams - kilograms * 1000 < 1


@given(st.integers(0, 10**9))
def test_whole_cents_are_exact_money(cents):
    rate = wire.Rate(service="ECO", name="Economy", cents=cents, currency="USD", arrives_on=GOODS.ready_on)
    assert mapping.options(wire.Rates((rate,)))[0].price == Money(Decimal(cents) / 100, "USD")


def test_a_shipment_that_is_ready_another_day_is_the_same_and_one_to_elsewhere_is_not():
    wanted = mapping.new_shipment(GOODS, "ECO")
    made = wire.Shipment(
        number="PC1", reference=wanted.reference, service="ECO", depot="D-1", to=wanted.to, grams=2000, status="BOOKED",
        cents=1, currency="USD", arrives_on=GOODS.ready_on, parcels=(wire.Parcel("T1"),),
    )  # fmt: skip
    assert mapping.is_same(structs.replace(wanted, ready_on=date(2026, 12, 1)), made)
    assert not mapping.is_same(wanted, structs.replace(made, to=structs.replace(made.to, city="elsewhere")))


def test_event_codes_that_are_new_to_us_are_passed_over():
    events = [decode(json.dumps({**EVENT, "code": code}).encode(), wire.TrackingEvent) for code in ("NEW", "DLV")]
    [milestone] = mapping.report("carrier_na", events).milestones
    assert (milestone.kind, milestone.source, milestone.tracking) == (MilestoneKind.DELIVERED, "carrier_na", "T1")


@pytest.fixture
def adapter(tmp_path):
    for name in ("key", "new", "old"):
        (tmp_path / name).write_text(f"a secret called {name}")
    settings = Settings(
        base_url="http://127.0.0.1:1", api_key=f"file:{tmp_path}/key", webhook_secret=f"file:{tmp_path}/new",
        previous_webhook_secret=f"file:{tmp_path}/old",
    )  # fmt: skip
    session = Outbound().session("carrier_na", settings.base_url, SystemLimits())
    return Adapter("carrier_na", settings, session, SystemClock())


def signed(body, *, secret="a secret called new", age=timedelta(0)):
    at = datetime.now(UTC) - age
    signature = Signer(secret.encode()).sign("msg_1", at, body)
    headers = {
        "webhook-id": "msg_1", "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature,
    }  # fmt: skip
    return Webhook(headers=headers, body=body.encode())


@pytest.mark.parametrize("secret", ["a secret called new", "a secret called old"])
def test_a_webhook_signed_with_either_secret_is_read(adapter, secret):
    [milestone] = adapter.parse_webhook(signed(json.dumps(EVENT), secret=secret)).milestones
    assert milestone.event_id == "e1"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,%%%"},
        {"webhook-signature": "nonsense"},
        {"webhook-timestamp": "yesterday"},
        {"webhook-id": "another"},
    ],
)
def test_a_webhook_whose_headers_say_otherwise_is_refused(adapter, headers):
    genuine = signed(json.dumps(EVENT))
    forged = {**genuine.headers, **headers} if headers else {}
    with pytest.raises(NotAuthenticated):
        adapter.parse_webhook(Webhook(headers=forged, body=genuine.body))


def test_a_webhook_that_is_old_or_signed_by_a_stranger_is_refused(adapter):
    for wrong in (signed("{}", secret="another"), signed("{}", age=timedelta(minutes=6))):
        with pytest.raises(NotAuthenticated):
            adapter.parse_webhook(wrong)
    with pytest.raises(NotAuthenticated):
        adapter.parse_webhook(Webhook(headers=signed("{}").headers, body=b"\xff"))


def test_a_genuine_webhook_outside_the_contract_is_a_persons_case(adapter):
    with pytest.raises(BrokenUpstream):
        adapter.parse_webhook(signed('{"event_id": 1}'))
