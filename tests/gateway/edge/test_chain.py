"""The order of the policies, spelled out."""

import pytest

from gateway.edge.chain import ORDER, WAY_IN, WAY_OUT, compile_chain
from gateway.kernel.errors import Misconfigured
from gateway.kernel.exchange import Route


class Named:
    concludes = False

    def __init__(self, name):
        self.name = name

    def admit(self, exchange):
        return None

    def conclude(self, exchange):
        return None


def read_body(exchange):
    return None


def test_the_chain_is_the_one_of_the_semantics():
    assert ORDER == (
        "canonical_request", "message_hygiene", "trace", "pre_authentication_limit", "version", "authenticate",
        "authorise", "rate_limit", "idempotency", "validate_request", "line_cost",
        "validate_response", "deprecation", "audit",
    )  # fmt: skip


def test_the_body_is_read_by_those_who_may_send_one_and_before_its_fingerprint_is_taken():
    assert WAY_IN[WAY_IN.index("body") - 1] == "rate_limit"
    assert WAY_IN[WAY_IN.index("body") + 1] == "idempotency"


def test_the_record_is_stored_before_the_answer_is_checked_and_the_audit_sees_the_end():
    assert set(WAY_OUT) == set(ORDER)
    assert WAY_OUT.index("idempotency") < WAY_OUT.index("validate_response") < WAY_OUT.index("trace")
    assert WAY_OUT[-1] == "audit"


def test_a_wrong_order_is_refused():
    with pytest.raises(Misconfigured, match="wrong order"):
        compile_chain([Named("authorise"), Named("authenticate")], read_body)


def test_a_policy_twice_or_unknown_is_refused():
    with pytest.raises(Misconfigured):
        compile_chain([Named("trace"), Named("trace")], read_body)
    with pytest.raises(Misconfigured, match="compression"):
        compile_chain([Named("compression")], read_body)


def test_a_route_is_spared_the_policies_that_do_not_concern_it_and_nothing_else():
    class Told(Named):
        concludes = True

        def admit(self, exchange):
            raise AssertionError

        def conclude(self, exchange):
            raise AssertionError

    class OfOrders(Told):
        def concerns(self, route):
            return route.api == "orders"

    policies = [(OfOrders if name in {"idempotency", "deprecation"} else Told)(name) for name in ORDER]
    chain = compile_chain(policies, read_body)
    behind = WAY_IN[WAY_IN.index("version") + 1 :]
    assert [step.__self__.name for step in chain.opening] == list(WAY_IN[: WAY_IN.index("version") + 1])
    assert chain.along(route_of("orders")) == chain.along(None)
    spared = chain.along(route_of("items"))
    assert names_of(chain.along(None).inward) == list(behind)
    assert names_of(spared.inward) == [name for name in behind if name != "idempotency"]
    assert names_of(chain.along(None).outward) == list(WAY_OUT)
    assert names_of(spared.outward) == [name for name in WAY_OUT if name not in {"idempotency", "deprecation"}]


def route_of(api):
    return Route(id=f"GET /{api}", method="GET", template=f"/{api}", api=api, version="v1", zone=None)


def names_of(steps):
    return ["body" if step is read_body else step.__self__.name for step in steps]


def test_what_has_nothing_to_conclude_is_left_out():
    assert compile_chain([Named(name) for name in ORDER], read_body).outward == ()
