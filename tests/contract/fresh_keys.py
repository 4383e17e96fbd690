"""A schemathesis hook: every request that is meant to be valid bears an `Idempotency-Key` of its own, as a client does.

Generated keys repeat, and a repeated key with another body is 422 by design (`test_raw_requests.py` has that). Keys
that are wrong, or missing, on purpose stay as they are.
"""

import uuid

import schemathesis
from schemathesis.core.parameters import ParameterLocation


@schemathesis.hook
def before_call(context, case, kwargs):
    """Replace a valid key by a fresh one."""
    wrong_on_purpose = case.meta is not None and case.meta.is_negative_at(ParameterLocation.HEADER)
    if not wrong_on_purpose and "Idempotency-Key" in (case.headers or {}):
        case.headers["Idempotency-Key"] = f'"{uuid.uuid4()}"'
