"""The checker of the outages would say so: doctored logs are found out."""

import json

import pytest

from gateway.plays.checkers import outages as checker

PROBLEM = {"content-type": "application/problem+json", "retry-after": "1"}


def order(key, status, body, headers=PROBLEM):
    return [
        {"event": "sending", "what": "order", "key": key, "sent": {"lines": [{"sku": "A", "quantity": "2"}]}},
        {
            "event": "answer", "what": "order", "key": key, "status": status, "headers": headers, "during": "",
            "body": body if isinstance(body, str) else json.dumps(body),
        },
    ]  # fmt: skip


@pytest.fixture
def judge(tmp_path):
    def of(*entries, orders=1):
        path = tmp_path / "client.jsonl"
        path.write_text("".join(json.dumps(entry) + "\n" for each in entries for entry in each))
        plan = {"client_log": str(path), "orders": orders}
        return [ok for _, ok, _ in checker.check_answers(plan, checker.Evidence(plan))]

    return of


ACCEPTED = order("k1", 201, {"id": "ord_1"})


def test_an_order_answered_twice_alike_is_fine(judge):
    assert judge(order("k1", 503, {"code": "store.unavailable"}), ACCEPTED, ACCEPTED) == [True] * 4


def test_a_key_without_a_final_answer_is_found(judge):
    assert judge(ACCEPTED, order("k2", 503, {"code": "store.unavailable"}), orders=2)[0] is False
    assert judge(ACCEPTED, order("k2", 409, {"code": "idempotency.in_flight"}), orders=2)[0] is False


def test_two_orders_under_one_key_are_found(judge):
    assert judge(ACCEPTED, order("k1", 201, {"id": "ord_2"}))[1] is False
    assert judge(ACCEPTED, order("k1", 409, {"code": "stock.insufficient"}))[1] is False


def test_a_refusal_for_another_reason_is_found(judge):
    assert judge(order("k1", 422, {"code": "idempotency_key.reused"}))[2] is False


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (500, {"code": "internal"}, PROBLEM),
        (503, {"code": "store.unavailable"}, {"content-type": "application/problem+json"}),
        (503, {"code": "store.unavailable"}, {**PROBLEM, "content-type": "text/plain"}),
        (503, {}, PROBLEM),
        (502, "<h1>Bad Gateway</h1>", PROBLEM),
    ],
)
def test_an_unclear_answer_is_found(judge, status, body, headers):
    assert judge(ACCEPTED, order("k1", status, body, headers))[3] is False


def test_the_sums_at_the_end_must_be_right(tmp_path):
    log = tmp_path / "client.jsonl"
    log.write_text("".join(json.dumps(entry) + "\n" for entry in ACCEPTED))
    seen = checker.Evidence({"client_log": str(log)})
    assert checker._left("", {"A": "5"}, {"A": "3.0"}, seen)[1]
    assert not checker._left("", {"A": "5"}, {"A": "1"}, seen)[1]
