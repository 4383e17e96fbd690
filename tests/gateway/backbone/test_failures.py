import asyncpg
import pytest

from gateway.backbone.failures import PATIENCE, ErrorClass, failure_of
from gateway.kernel.errors import (
    BrokenUpstream,
    Conflict,
    Invalid,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Unavailable("x"), ErrorClass.OUTAGE),
        (asyncpg.DeadlockDetectedError("x"), ErrorClass.OUTAGE),
        (asyncpg.ConnectionDoesNotExistError("x"), ErrorClass.OUTAGE),
        (Throttled("x"), ErrorClass.THROTTLED),
        (OutcomeUnknown("x"), ErrorClass.OUTCOME_UNKNOWN),
        (Conflict("x"), ErrorClass.SEQUENCE),
        (NotFound("x"), ErrorClass.MAPPING),
        (Rejected("x"), ErrorClass.VALIDATION),
        (Invalid("x"), ErrorClass.VALIDATION),
        (BrokenUpstream("x"), ErrorClass.UPSTREAM),
        (KeyError("x"), ErrorClass.UNEXPECTED),
        (asyncpg.UniqueViolationError("x"), ErrorClass.UNEXPECTED),
    ],
)
def test_every_error_has_its_class(error, expected):
    assert failure_of(error).error_class is expected


def test_the_fault_domain_is_the_system_to_blame_else_the_codes_first_word():
    assert failure_of(Unavailable("x", code="erp_na.down")).fault_domain == "erp_na"
    assert failure_of(Unavailable("x", context={"system": "wms_north"})).fault_domain == "wms_north"


def test_tries_end_and_what_a_person_must_mend_is_not_tried_at_all():
    for error_class in ErrorClass:
        assert error_class in PATIENCE
    mapping = failure_of(NotFound("no such item"))
    assert (mapping.pause_in_place(0), mapping.pause_before_later(0)) == (None, None)
    outage = failure_of(Unavailable("down"))
    assert outage.pause_in_place(0) == 0.1
    assert outage.pause_in_place(99) is None
    assert outage.pause_before_later(99) is None


def test_a_long_retry_after_is_not_waited_for_in_place():
    throttled = failure_of(Throttled("slow down", retry_after=60))
    assert throttled.pause_in_place(0) is None
    assert throttled.pause_before_later(0) == 60
