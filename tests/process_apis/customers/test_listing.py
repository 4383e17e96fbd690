from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.canonical.party import ReportedCustomer
from gateway.kernel.money import Money
from gateway.reference.outcomes import Refusal
from process_apis.customers.listing import Standing, listing_of
from process_apis.customers.models import SourceOptions

NOTHING = Standing(numbers={}, coded={})


def reported(code, **more):
    return ReportedCustomer(**{"source_code": code, "number": code, "name": f"Name of {code}", "roles": (), **more})


def listed(*customers, options=SourceOptions(), standing=NOTHING):  # noqa: B008 - frozen
    return listing_of(customers, "erp_eu", options, standing)


def refusals(made):
    return [(each.record, each.attribute, each.code) for each in made.refused]


def test_what_the_system_says_is_taken_and_what_it_is_silent_about_is_left_to_others():
    (change,) = listed(
        reported(
            "C1", roles=("sold_to", "bill_to"), city="Oslo", country="NO", payment_term="Net 30",
            credit_limit=Money(Decimal("2500.50"), "NOK"),
        )
    ).changes  # fmt: skip
    assert change.attributes == {
        "name": "Name of C1", "city": "Oslo", "country": "NO", "payment_term": "Net 30",
        "roles": ["sold_to", "bill_to"], "status": "active", "credit_source": "erp_eu", "credit_limit": "2500.5 NOK",
    }  # fmt: skip
    assert (change.number, change.codes, change.whole) == ("C1", {"erp_eu": ("C1",)}, True)


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({}, "active"),
        ({"hold": True}, "held"),
        ({"active": False}, "closed"),
        ({"active": False, "hold": True}, "closed"),
    ],
)
def test_one_that_is_archived_is_closed_and_one_on_hold_is_held(more, status):
    assert listed(reported("C1", **more)).changes[0].attributes["status"] == status


def test_an_address_belongs_to_its_customer_by_our_number_whatever_that_is():
    made = listed(
        reported("C1"), reported("party.address,7", number="C1/7", parent="C1"),
        options=SourceOptions(prefix="EU-"), standing=Standing(numbers={"C1": "KNOWN"}, coded={}),
    )  # fmt: skip
    assert [(each.number, each.attributes.get("parent")) for each in made.changes] == [
        ("KNOWN", None), ("EU-C1/7", "KNOWN")
    ]  # fmt: skip
    assert made.told([Refusal("EU-C1/7", "parent", "x", "y")]) == [Refusal("party.address,7", "parent", "x", "y")]


def test_a_number_that_another_system_has_a_code_for_is_not_taken_to_mean_the_same_customer():
    taken = Standing(numbers={}, coded={"C1": ["erp_na"]})
    assert refusals(listed(reported("C1"), standing=taken)) == [("C1", "number", "customer.number_taken")]
    assert listed(reported("C1"), standing=taken, options=SourceOptions(shared_numbers=True)).changes
    assert listed(reported("C1"), standing=Standing(numbers={}, coded={"C1": []})).changes
    assert listed(reported("C1"), standing=Standing(numbers={"C1": "C1"}, coded={})).changes


def test_one_number_under_two_codes_and_one_code_twice_are_refused_and_the_first_stands():
    own = Standing(numbers={}, coded={"C9": ["erp_eu"]})
    assert refusals(listed(reported("C9"), standing=own)) == [("C9", "number", "customer.number_taken")]
    made = listed(reported("C1"), reported("C1", name="again"), reported("C2", number="C1"))
    assert [each.number for each in made.changes] == ["C1"]
    assert refusals(made) == [("C1", "code", "customer.code_repeated"), ("C2", "number", "customer.number_taken")]


@pytest.mark.parametrize("number", ["", "x" * 65, "tab\there"])
def test_a_number_that_is_none_is_refused(number):
    assert refusals(listed(reported("C1", number=number))) == [("C1", "number", "customer.number_unfit")]


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("country", "usa"), ("street", "x" * 201), ("postal_code", "9" * 21), ("tax_id", "a\nb"), ("city", "\x00")],
)
def test_what_does_not_fit_is_told_and_the_rest_is_taken(attribute, value):
    made = listed(reported("C1", **{attribute: value}))
    assert refusals(made) == [("C1", attribute, "customer.unfit")]
    assert made.changes[0].attributes == {"name": "Name of C1", "status": "active"}
