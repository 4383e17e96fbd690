"""Entity tags and preconditions: RFC 9110, sections 8.8.3 and 13.1, and RFC 6585, section 3."""

from __future__ import annotations

import re
from typing import Final

from gateway.kernel.errors import Conflict, Invalid, Problem, Rejected

_PLAN_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_TAG: Final = re.compile(r'"v([1-9][0-9]{0,17})"')


def entity_tag(version: int) -> str:
    """The strong tag of a version."""
    return f'"v{version}"'


def expected_version(if_match: str | None) -> int:
    """The version that ``If-Match`` names.

    Raises `Rejected` (code ``precondition.required``, 428) without one, and `Conflict` (``precondition.failed``, 412)
    for a tag that is not one of ours: it cannot be that of the present version.
    """
    if if_match is None:
        raise Rejected(
            "say which version you saw: send its ETag in If-Match, read it first if you have none",
            code="precondition.required",
        )
    match = _TAG.fullmatch(if_match.strip())
    if match is None:
        raise Conflict("If-Match takes one ETag as it was given out: read again", code="precondition.failed")
    return int(match[1])


def check_plan_name(name: str) -> None:
    """Raise `Invalid` (code ``plan.name``) unless `name` can stand in a path, a token and a settings file."""
    if _PLAN_NAME.fullmatch(name) is None:
        detail = "a plan's name is a lower-case letter, then up to 39 of letters, digits, - and _"
        raise Invalid(detail, code="plan.name", problems=[Problem(detail, parameter="plan_name")])
