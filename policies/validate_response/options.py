"""Options of the response validation policy."""

from msgspec import Struct


class ValidateResponseOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """`sample` is the share (0 to 1) of 2xx answers that are checked.

    `withhold` replaces a wrong answer to a safe method with 500; an answer to a change always goes out, because its
    effect is committed.
    """

    sample: float = 0.01
    withhold: bool = False
