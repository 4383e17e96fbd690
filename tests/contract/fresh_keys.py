"""A schemathesis hook: a request that is meant to be valid bears what a client would have read or made for it.

That is an `Idempotency-Key` of its own (generated keys repeat, and a repeated key with another body is 422 by design:
`test_raw_requests.py` has that). A change is of an order that is still open, as the run's own cancellations leave few
of those that it placed, and bears in `If-Match` the ETag that the order has now. What is wrong, or missing, on purpose
stays as it is.
"""

import uuid

import requests
import schemathesis
from schemathesis.core.parameters import ParameterLocation

_TIMEOUT_S = 30
_CHANGES = "/storefront/v2/orders/{order_id}/changes"


@schemathesis.hook
def before_call(context, case, kwargs):
    """Replace a valid key by a fresh one, and have a valid change be of an open order as it is."""
    if not _wrong_on_purpose(case, ParameterLocation.HEADER) and "Idempotency-Key" in (case.headers or {}):
        case.headers["Idempotency-Key"] = f'"{uuid.uuid4()}"'
    of_one = case.operation.path == _CHANGES and not _wrong_on_purpose(case, ParameterLocation.PATH)
    if of_one and not _wrong_on_purpose(case, ParameterLocation.HEADER) and "If-Match" in (case.headers or {}):
        orders = case.as_transport_kwargs(base_url=kwargs.get("base_url"))["url"].rsplit("/", 2)[0]
        headers = {"X-Api-Key": (kwargs.get("headers") or {}).get("X-Api-Key") or case.headers.get("X-Api-Key")}
        found = requests.get(f"{orders}?state=promised&limit=1", headers=headers, timeout=_TIMEOUT_S)
        if found.ok and (listed := found.json()["items"]):
            order = requests.get(f"{orders}/{listed[0]['id']}", headers=headers, timeout=_TIMEOUT_S)
            case.path_parameters["order_id"] = listed[0]["id"]
            case.headers["If-Match"] = order.headers["ETag"]


def _wrong_on_purpose(case, where):
    return case.meta is not None and case.meta.is_negative_at(where)
