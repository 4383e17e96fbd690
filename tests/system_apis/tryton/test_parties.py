from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal

from gateway.kernel.money import Money
from system_apis.tryton.parties import customers, reported
from system_apis.tryton.wire import Code, Listed, Named, PartyAddress


def address(number, **more):
    plain = {"party_name": None, "street": None, "city": None, "postal_code": None, "active": True}
    return PartyAddress(**{"id": number, **plain, **more})


def party(*addresses, **more):
    return Listed(**{"id": 4, "code": "C4", "name": "Corner", "active": 1, "addresses": list(addresses), **more})


def roles(*addresses, **more):
    return [(each.source_code, each.roles) for each in reported(party(*addresses, **more), "USD", "Credit hold")]


def test_a_party_without_marked_addresses_is_everything_itself():
    every = ("sold_to", "ship_to", "bill_to")
    assert roles() == roles(address(1)) == roles(address(1), address(2)) == [("C4", every)]


def test_its_own_address_is_the_one_that_takes_invoices_and_the_others_are_customers_of_it():
    found = reported(
        party(address(1, delivery=True, city="Dock"), address(2, invoice=1, city="Office"), address(3)), "USD", "-"
    )
    assert [(each.source_code, each.number, each.roles, each.parent, each.city) for each in found] == [
        ("C4", "C4", ("sold_to", "bill_to"), None, "Office"),
        ("party.address,1", "C4/1", ("ship_to",), "C4", "Dock"),
    ]


def test_an_archived_address_takes_nothing_any_more_and_is_told_as_archived():
    found = reported(party(address(1, invoice=True, active=0), address(2, street=" 1 Pier\n\nGate  B ")), "USD", "-")
    assert [(each.source_code, each.active) for each in found] == [("C4", True), ("party.address,1", False)]
    assert found[0].street == "1 Pier, Gate B"
    archived = reported(party(address(1), address(2, delivery=True), active=0), "USD", "-")
    assert not any(each.active for each in archived)


def test_terms_limit_identifier_and_hold_are_the_partys():
    (found,) = reported(
        party(
            currency=Code(id=1, code="EUR"), payment_term=Named(id=1, rec_name="Net 30"),
            tax_identifier=Code(id=1, code="DE123"), credit_limit_amount=Decimal(500),
            categories=[Named(id=1, rec_name="Sales / Credit hold")],
        ),
        "USD", "Credit hold",
    )  # fmt: skip
    assert (found.payment_term, found.tax_id, found.hold) == ("Net 30", "DE123", True)
    assert found.credit_limit == Money(Decimal(500), "EUR")
    assert not reported(party(), "USD", "Credit hold")[0].hold


def test_a_party_without_a_code_cannot_be_named():
    assert reported(party(code=None), "USD", "-") == reported(party(code=""), "USD", "-") == []


def test_an_instant_is_asked_for_in_trytons_own_time_which_is_utc_without_saying_so():
    since = datetime(2026, 11, 22, 9, 30, tzinfo=timezone(timedelta(hours=2)))
    _, (_, *asked) = customers("Customer", since)
    assert {instant for _, _, instant in asked} == {datetime(2026, 11, 22, 7, 30)}  # noqa: DTZ001 - Tryton's are naive
    assert {name for name, _, _ in asked} >= {"create_date", "addresses.write_date", "payment_terms.write_date"}
    assert len(customers("Customer", None)) == 1
