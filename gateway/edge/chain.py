"""The order of the policies, written out, and the chain compiled from it (`semantics.md` 7).

On the way in a request passes `WAY_IN` from the top; its body is read where `BODY` stands, after those who may be
refused without it. On the way out, the record of idempotency is stored first, the reply is then checked and dated
(`WAY_OUT`'s middle), and whatever entered is left innermost first; the audit sees the final word.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from gateway.kernel.errors import Misconfigured
from gateway.kernel.exchange import Exchange, Policy, passes

BODY: Final = "body"
ORDER: Final = (
    "canonical_request",
    "message_hygiene",
    "trace",
    "pre_authentication_limit",
    "version",
    "authenticate",
    "authorise",
    "rate_limit",
    "idempotency",
    "validate_request",
    "line_cost",
    # the handler
    "validate_response",
    "deprecation",
    "audit",
)
_HANDLER_AFTER: Final = "line_cost"
WAY_IN: Final = tuple(
    step
    for name in ORDER[: ORDER.index(_HANDLER_AFTER) + 1]
    for step in ((BODY, name) if name == "idempotency" else (name,))
)
WAY_OUT: Final = (
    "line_cost",
    "validate_request",
    "idempotency",
    "validate_response",
    "deprecation",
    "rate_limit",
    "authorise",
    "authenticate",
    "version",
    "pre_authentication_limit",
    "trace",
    "message_hygiene",
    "canonical_request",
    "audit",
)

Step = Callable[[Exchange], Awaitable[None] | None]


class Chain(Struct, frozen=True):
    """The compiled order.

    `inward` is asked on the way in. `outward` is told on the way out, each with the number of inward steps that must
    have been entered before it has anything to conclude (0 for those behind the handler).
    """

    names: tuple[str, ...]
    inward: tuple[Step, ...]
    outward: tuple[tuple[int, Step], ...]


def compile_chain(policies: Sequence[Policy], read_body: Step) -> Chain:
    """The chain of `policies`, which must be some or all of `ORDER`, each once, in that order."""
    _refuse_disorder([policy.name for policy in policies])
    named: Mapping[str, Policy] = {policy.name: policy for policy in policies}
    names: list[str] = []
    inward: list[Step] = []
    for name in WAY_IN:
        if name == BODY:
            names.append(name)
            inward.append(read_body)
        elif name in named:
            names.append(name)
            inward.append(named[name].admit)
    outward = [
        (names.index(name) + 1 if name in names else 0, named[name].conclude)
        for name in WAY_OUT
        if name in named and getattr(type(named[name]), "conclude", None) is not passes and _concludes(named[name])
    ]
    return Chain(tuple(names), tuple(inward), tuple(outward))


def _concludes(policy: Policy) -> bool:
    """False for a policy that was configured to have nothing to do on the way out (``concludes = False``)."""
    return bool(getattr(policy, "concludes", True))


def _refuse_disorder(names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in ORDER]
    if unknown:
        raise Misconfigured(f"no such policy in the chain: {', '.join(unknown)}; gateway/edge/chain.py lists them")
    expected = [name for name in ORDER if name in names]
    if list(names) != expected:
        raise Misconfigured(f"the policies stand in the wrong order: give them as {', '.join(expected)}, each once")
