"""The order of the policies, written out, and the chain compiled from it (`semantics.md` 7).

On the way in a request passes `WAY_IN` from the top; its body is read where `BODY` stands, after those who may be
refused without it. On the way out, the record of idempotency is stored first, the reply is then checked and dated
(`WAY_OUT`'s middle), and whatever entered is left innermost first; the audit sees the final word.

Once its route is found, a request is spared the policies that have nothing to do for that route (`Chain.along`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.kernel.errors import Misconfigured
from gateway.kernel.exchange import Exchange, Policy, Route

BODY: Final = "body"
_FINDS_ROUTE: Final = "version"
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


@dataclass(frozen=True)
class Along:
    """What requests of one route pass: `inward` behind the step that finds the route, `outward` when all was entered.

    The order is the chain's own.
    """

    inward: tuple[Step, ...]
    outward: tuple[Step, ...]


@dataclass(frozen=True)
class Chain:
    """The compiled order.

    `inward` is asked on the way in. `outward` is told on the way out, each with the number of inward steps that must
    have been entered before it has anything to conclude (0 for those behind the handler). `opening` is that part of
    `inward` which everything passes, up to the step that finds the route. `concerns` tells the steps that some routes
    need not pass.
    """

    names: tuple[str, ...]
    inward: tuple[Step, ...]
    outward: tuple[tuple[int, Step], ...]
    opening: tuple[Step, ...]
    concerns: tuple[tuple[Step, Callable[[Route], bool]], ...]

    def along(self, route: Route | None) -> Along:
        """The way of one route's requests; nothing is spared where the route is not known."""
        spared = [step for step, concerns in self.concerns if route is not None and not concerns(route)]
        return Along(
            tuple(step for step in self.inward[len(self.opening) :] if step not in spared),
            tuple(step for _, step in self.outward if step not in spared),
        )


def compile_chain(policies: Sequence[Policy], read_body: Step) -> Chain:
    """The chain of `policies`, which must be some or all of `ORDER`, each once, in that order."""
    _refuse_disorder([policy.name for policy in policies])
    named: Mapping[str, Policy] = {policy.name: policy for policy in policies}
    steps = [(name, read_body if name == BODY else named[name].admit) for name in WAY_IN if name in {BODY, *named}]
    names = tuple(name for name, _ in steps)
    inward = tuple(step for _, step in steps)
    outward = tuple(
        (names.index(name) + 1 if name in names else 0, named[name].conclude)
        for name in WAY_OUT
        if name in named and _concludes(named[name])
    )
    concerns = tuple(
        (step, policy.concerns) for policy in policies if hasattr(policy, "concerns") for step in _steps_of(policy)
    )
    opening = inward[: names.index(_FINDS_ROUTE) + 1] if _FINDS_ROUTE in names else inward
    return Chain(names, inward, outward, opening, concerns)


def _steps_of(policy: Policy) -> tuple[Step, Step]:
    return policy.admit, policy.conclude


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
