"""Errors, sorted by what the caller does next.

    CrossdockError
    ├── Rejected        the request can never succeed as it stands: change it
    │   └── Invalid     it does not fit its contract: `problems` says where
    ├── NotFound        what it names does not exist, or not for this caller
    ├── Conflict        it clashes with the present state: read, then decide
    ├── NotAllowed      who asks may not do this (`NotAuthenticated`: we do not know who asks)
    ├── Throttled       slow down; `retry_after` seconds
    ├── Unavailable     nothing was done: try again; `retry_after` seconds
    ├── OutcomeUnknown  it may or may not have been done: look before retrying
    ├── BrokenUpstream  another system breaks its contract: page someone
    └── Misconfigured   refuse to start, and say what to set

Every error carries a stable dotted `code` (``order.not_found``) that partners may program against, and
a `detail` written for a person that says what to do. Only `gateway/edge/problems.py` turns them into
problem details (RFC 9457). `detail` never holds a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Problem:
    """One place where an input does not fit: a JSON pointer (RFC 6901) or the name of a parameter."""

    __slots__ = ("detail", "parameter", "pointer")

    def __init__(self, detail: str, *, pointer: str | None = None, parameter: str | None = None) -> None:
        self.detail = detail
        self.pointer = pointer
        self.parameter = parameter


class CrossdockError(Exception):
    """The root. `code` is stable; `detail` says what happened and what to do; `context` goes to the log."""

    default_code: ClassVar[str] = "internal"
    transient: ClassVar[bool] = False

    def __init__(self, detail: str, *, code: str | None = None, context: Mapping[str, object] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.default_code
        self.context: Mapping[str, object] = context or {}


class Rejected(CrossdockError):
    """Final: the same request will be refused again."""

    default_code = "rejected"


class Invalid(Rejected):
    """Does not fit its contract. `syntax` tells broken syntax (400) from a body that does not fit (422)."""

    default_code = "invalid"

    def __init__(
        self,
        detail: str,
        *,
        problems: Sequence[Problem] = (),
        syntax: bool = False,
        code: str | None = None,
        context: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail, code=code, context=context)
        self.problems = tuple(problems)
        self.syntax = syntax


class NotFound(CrossdockError):
    """Does not exist, or must not be seen by this caller: both look the same from outside."""

    default_code = "not_found"


class Conflict(CrossdockError):
    """The present state does not allow it. `problems` says which parts, where the caller can tell by them."""

    default_code = "conflict"

    def __init__(
        self,
        detail: str,
        *,
        problems: Sequence[Problem] = (),
        code: str | None = None,
        context: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail, code=code, context=context)
        self.problems = tuple(problems)


class NotAllowed(CrossdockError):
    """Known caller, missing right."""

    default_code = "forbidden"


class NotAuthenticated(NotAllowed):
    """No, or no valid, credential."""

    default_code = "unauthenticated"


class _Later(CrossdockError):
    transient = True

    def __init__(
        self,
        detail: str,
        *,
        retry_after: float = 1.0,
        code: str | None = None,
        context: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail, code=code, context=context)
        self.retry_after = retry_after


class Throttled(_Later):
    """A limit was reached; nothing was done."""

    default_code = "throttled"


class Unavailable(_Later):
    """Nothing was done; the same request may succeed later."""

    default_code = "unavailable"


class OutcomeUnknown(CrossdockError):
    """The request reached the other side and its answer did not reach us."""

    default_code = "outcome_unknown"
    transient = True


class BrokenUpstream(CrossdockError):
    """Another system answered something that its contract does not allow."""

    default_code = "broken_upstream"


class Misconfigured(CrossdockError):
    """Settings or installation are wrong; a process that meets this refuses to start."""

    default_code = "misconfigured"
