"""Entity tags and preconditions: RFC 9110, sections 8.8.3 and 13.1, and RFC 6585, section 3."""

from __future__ import annotations

import re
from typing import Final

from gateway.kernel.errors import Conflict, Rejected

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
