"""Content types as the route takes them; the readers themselves are tested beside `gateway/edge/strict.py`."""

import pytest

from gateway.kernel.errors import Invalid, Rejected
from gateway.kernel.exchange import Exchange, Route
from policies.validate_request.policy import ValidateRequest


def admitted(content_type, body=b"{}", **route):
    request = Exchange({"type": "http", "method": "POST", "path": "/"}, None, 0.0)
    request.headers = {b"content-type": content_type} if content_type is not None else {}
    request.body = body
    request.route = Route(id="x", method="POST", template="/", api="a", version="v1", zone=None, **route)
    ValidateRequest().admit(request)
    return request


def test_a_route_that_names_its_content_types_takes_no_other():
    csv = frozenset({"text/csv"})
    assert admitted(b"Text/CSV; charset=utf-8", content_types=csv).decoded is None
    with pytest.raises(Rejected) as refused:
        admitted(b"application/json", content_types=csv)
    assert refused.value.code == "request.media_type"


def test_a_route_that_names_none_takes_any():
    assert admitted(b"application/edi-x12", b"ISA", content_types=frozenset()).decoded is None


def test_a_required_body_must_be_there_and_an_optional_one_need_not():
    with pytest.raises(Invalid) as refused:
        admitted(None, b"", decode=len)
    assert (refused.value.code, refused.value.syntax) == ("request.body_missing", True)
    assert admitted(None, b"", decode=len, options={"body_optional": True}).decoded is None


def test_an_unmatched_route_is_left_to_the_end_of_the_chain():
    assert admitted(b"text/plain", matched=False).decoded is None
