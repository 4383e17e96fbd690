"""What a plan may be called."""

from __future__ import annotations

import re
from typing import Final

from gateway.kernel.errors import Invalid, Problem

_PLAN_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")


def check_plan_name(name: str) -> None:
    """Raise `Invalid` (code ``plan.name``) unless `name` can stand in a path, a token and a settings file."""
    if _PLAN_NAME.fullmatch(name) is None:
        detail = "a plan's name is a lower-case letter, then up to 39 of letters, digits, - and _"
        raise Invalid(detail, code="plan.name", problems=[Problem(detail, parameter="plan_name")])
