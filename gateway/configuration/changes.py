"""What a new configuration changes, in the words of those it concerns: which limit of whom, from what to what.

Each change has a class. ``loosens``: more is allowed than before. ``tightens``: callers may now be refused what they
were not. ``breaking``: callers will be refused, or somebody is believed no more. ``changes``: neither can be said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.configuration.tree import Configuration, plain
from gateway.kernel.lifecycle import Brownout, Lifecycle
from policies.rate_limit.options import Limit, PlanLimits, RateLimitOptions, WhenStoreDown
from policies.rate_limit.quota import Quota, quota_of

_ELSEWHERE: Final = frozenset({"rate_limit.plans", "rate_limit.addresses", "lifecycles", "peers.trusted"})
_LOOSER_AS_THEY_RISE: Final = frozenset({"rate_limit.buckets"})
_STRICTNESS: Final = (WhenStoreDown.OPEN, WhenStoreDown.LOCAL_SHARE, WhenStoreDown.CLOSED)
_NONE: Final = "-"


class Effect(StrEnum):
    """How a change is felt; see the module."""

    LOOSENS = "loosens"
    TIGHTENS = "tightens"
    BREAKING = "breaking"
    CHANGES = "changes"


class Change(Struct, frozen=True, kw_only=True):
    """One difference: `what` of `whom`, `before` and `after` as people write them."""

    whom: str
    what: str
    before: str
    after: str
    effect: Effect


def changes(before: Configuration, after: Configuration, *, now: datetime) -> list[Change]:
    """Everything that differs; empty when nothing does. `now` tells dates that announce from dates that end."""
    return [
        *_limits(before.rate_limit, after.rate_limit),
        *_lifecycles(before.lifecycles, after.lifecycles, now),
        *_networks("our proxies", "trusted peers", before.peers.trusted, after.peers.trusted),
        *_others(before, after),
    ]


# --- limits -----------------------------------------------------------------------------------------------------------


def _limits(before: RateLimitOptions, after: RateLimitOptions) -> Iterator[Change]:
    for name in sorted({*before.plans, *after.plans}):
        # A plan that is not listed has the limits of the fallback plan: its partners feel the difference to those.
        old = before.plans.get(name) or before.plans[before.fallback_plan]
        new = after.plans.get(name) or after.plans[after.fallback_plan]
        listed = (name in before.plans, name in after.plans)
        yield from _plan(name, old, new, listed)
    yield from _limit("every address", "limit before authentication", before.addresses, after.addresses)


def _plan(name: str, old: PlanLimits, new: PlanLimits, listed: tuple[bool, bool]) -> Iterator[Change]:
    whom = f"plan {name}"
    found = list(_limit(whom, "limit of all calls", old.default, new.default))
    for route in sorted({*old.operations, *new.operations}):
        found += _limit(
            whom, f"limit of {route}", old.operations.get(route, old.default), new.operations.get(route, new.default)
        )
    if listed[0] != listed[1] and not found:
        words = ["listed" if each else "as the fallback plan" for each in listed]
        found.append(Change(whom=whom, what="plan", before=words[0], after=words[1], effect=Effect.CHANGES))
    yield from found


def _limit(whom: str, what: str, old: Limit, new: Limit) -> Iterator[Change]:
    if old == new:
        return
    yield Change(whom=whom, what=what, before=_said(old), after=_said(new), effect=_felt(old, new))


def _said(limit: Limit) -> str:
    quota = _quota(limit)
    words = f"{limit.rate} exact" if quota.exact else f"{limit.rate}, burst {quota.burst}"
    return f"{words}, {limit.when_store_down} without the store"


def _felt(old: Limit, new: Limit) -> Effect:
    was, will = _quota(old), _quota(new)
    if was.exact != will.exact:
        return Effect.CHANGES
    steps = {
        _sign(will.count / will.window - was.count / was.window),
        _sign((will.count - was.count) if was.exact else (will.burst - was.burst)),
        _sign(_STRICTNESS.index(was.when_store_down) - _STRICTNESS.index(will.when_store_down)),
    }
    if -1 in steps:
        return Effect.TIGHTENS
    return Effect.LOOSENS if 1 in steps else Effect.CHANGES


def _quota(limit: Limit) -> Quota:
    return quota_of(limit, bucket="any", workers=1)


def _sign(difference: float) -> int:
    return (difference > 0) - (difference < 0)


# --- dates ------------------------------------------------------------------------------------------------------------


def _lifecycles(old: tuple[Lifecycle, ...], new: tuple[Lifecycle, ...], now: datetime) -> Iterator[Change]:
    before = {(each.api, each.version): each for each in old}
    after = {(each.api, each.version): each for each in new}
    for api, version in sorted({*before, *after}):
        none = Lifecycle(api=api, version=version)
        was, will = before.get((api, version), none), after.get((api, version), none)
        whom = f"{api} {version}"
        yield from _date(whom, "deprecated at", was.deprecated_at, will.deprecated_at, Effect.TIGHTENS)
        ends = will.sunset_at is not None and will.sunset_at <= now
        yield from _date(whom, "ends at", was.sunset_at, will.sunset_at, Effect.BREAKING if ends else Effect.TIGHTENS)
        for what in ("successor", "documentation"):
            if getattr(was, what) != getattr(will, what):
                yield Change(
                    whom=whom,
                    what=what,
                    before=getattr(was, what) or _NONE,
                    after=getattr(will, what) or _NONE,
                    effect=Effect.CHANGES,
                )
        yield from _brownouts(whom, was.brownouts, will.brownouts)


def _date(whom: str, what: str, was: datetime | None, will: datetime | None, sooner: Effect) -> Iterator[Change]:
    if was == will:
        return
    later = will is None or (was is not None and will > was)
    yield Change(whom=whom, what=what, before=_when(was), after=_when(will), effect=Effect.LOOSENS if later else sooner)


def _brownouts(whom: str, was: tuple[Brownout, ...], will: tuple[Brownout, ...]) -> Iterator[Change]:
    for gone in [each for each in was if each not in will]:
        yield Change(whom=whom, what="brownout", before=_span(gone), after=_NONE, effect=Effect.LOOSENS)
    for fresh in [each for each in will if each not in was]:
        yield Change(whom=whom, what="brownout", before=_NONE, after=_span(fresh), effect=Effect.BREAKING)


def _when(instant: datetime | None) -> str:
    return _NONE if instant is None else instant.isoformat(timespec="seconds")


def _span(brownout: Brownout) -> str:
    return f"{_when(brownout.begins)} to {_when(brownout.ends)}"


# --- the rest ---------------------------------------------------------------------------------------------------------


def _networks(whom: str, what: str, was: tuple[str, ...], will: tuple[str, ...]) -> Iterator[Change]:
    for network in sorted({*was} - {*will}):
        yield Change(whom=whom, what=what, before=network, after=_NONE, effect=Effect.BREAKING)
    for network in sorted({*will} - {*was}):
        yield Change(whom=whom, what=what, before=_NONE, after=network, effect=Effect.LOOSENS)


def _others(before: Configuration, after: Configuration) -> Iterator[Change]:
    old, new = dict(_leaves("", plain(before))), dict(_leaves("", plain(after)))
    for path in sorted({*old, *new}):
        was, will = old.get(path), new.get(path)
        if was != will and not any(path == each or path.startswith(f"{each}.") for each in _ELSEWHERE):
            yield Change(
                whom="the gateway", what=path, before=_shown(was), after=_shown(will), effect=_judged(path, was, will)
            )


def _judged(path: str, was: Any, will: Any) -> Effect:
    if path == "notifications.private_targets":
        return Effect.BREAKING if {*(was or ())} - {*(will or ())} else Effect.LOOSENS
    if path == "peers.hops":
        return Effect.BREAKING
    if path == "rate_limit.failure_cost":
        return Effect.TIGHTENS if will > was else Effect.LOOSENS
    if path in _LOOSER_AS_THEY_RISE:
        return Effect.LOOSENS if will > was else Effect.TIGHTENS
    return Effect.CHANGES


def _leaves(prefix: str, tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            yield from _leaves(f"{path}.", value)
        else:
            yield path, value


def _shown(value: Any) -> str:
    return _NONE if value is None else msgspec.json.encode(value).decode() if not isinstance(value, str) else value
