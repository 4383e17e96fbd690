"""How entries change: by what their owners tell, and by what people decide. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from msgspec.structs import replace

from gateway.canonical.trouble import Effect, Trouble, Verb
from gateway.kernel.errors import Conflict
from process_apis.exceptions.models import Entry, State

OVER: Final = frozenset({State.RESOLVED, State.IGNORED})
_WEIGHT: Final = {
    Effect.OVERSELLS: 90,
    Effect.STOPS_ORDER: 70,
    Effect.HIDES_STOCK: 60,
    Effect.MISBOOKS: 50,
    Effect.DELAYS: 30,
    Effect.TELLS_LATE: 10,
}
_WITHIN: Final = 9
# Consumers of the log by what stands still while they do, for events that they set aside.
_OF_CONSUMER: Final = {
    "availability.projection": Effect.OVERSELLS,
    "channel_publication": Effect.OVERSELLS,
    "channel_telling": Effect.TELLS_LATE,
    "order_to_ship.shipping": Effect.MISBOOKS,
    "order_to_ship.covering": Effect.STOPS_ORDER,
    "availability.mending": Effect.HIDES_STOCK,
    "stock_operations": Effect.DELAYS,
    "procure_to_pay.mending": Effect.HIDES_STOCK,
    "partner_notifications": Effect.TELLS_LATE,
}


def effect_of_letter(consumer: str) -> Effect:
    """What it does that a consumer set an event aside."""
    return _OF_CONSUMER.get(consumer, Effect.DELAYS)


def rank_of(told: Trouble) -> int:
    """0 to 99. The effect decides; within one effect the money, or how much waits: what moves fast piles up fast."""
    by_money = 0 if told.value is None else len(str(int(abs(told.value)))) + 1
    by_number = told.count.bit_length() - 1
    return _WEIGHT[told.effect] + min(_WITHIN, max(by_money, by_number))


def raised(entry: str, tenant: str, kind: str, told: Trouble) -> Entry:
    """A trouble that the queue had not heard of."""
    facts = _facts(told)
    state = State.OPEN if told.by_itself_at is None else State.RETRYING
    return Entry(entry=entry, tenant=tenant, kind=kind, key=told.key, state=state, **facts)


def told_again(known: Entry, told: Trouble, now: datetime, patience: timedelta) -> tuple[Entry, str | None]:
    """The entry by what its owner tells now, and the step that this is, if it is one."""
    failed = told.last_at > known.last_at
    entry = replace(known, seen=known.seen + failed, **_facts(told))
    by_itself = told.by_itself_at is not None
    if known.state in OVER:
        ended = known.ended_at
        if known.state is State.IGNORED and ended is not None and told.last_at <= ended:
            return replace(entry, seen=known.seen), None
        anew = replace(entry, asked_by=None, asked_at=None, ended_at=None, ended_by=None, reason=None)
        return _waiting(anew, by_itself=by_itself), "raised_again"
    step = _end_of_retry(known, told, now, patience) if known.state is State.RETRYING else None
    if step is not None:
        entry = replace(entry, asked_at=None, asked_by=None)
    if by_itself:
        return replace(entry, state=State.RETRYING), step
    return (entry if known.state is not State.RETRYING or step is None else _waiting(entry)), step


def _end_of_retry(known: Entry, told: Trouble, now: datetime, patience: timedelta) -> str | None:
    """What became of the retry that was under way: None while that is not known."""
    by_itself = told.by_itself_at is not None
    if known.asked_at is None:
        return None if by_itself else "given_up"
    if told.last_at > known.asked_at:
        return "retry_failed"
    return "retry_unanswered" if not by_itself and now - known.asked_at > patience else None


def gone(known: Entry, now: datetime) -> Entry:
    """Its owner tells it no more: whatever stood still went on."""
    return replace(known, state=State.RESOLVED, ended_at=now, ended_by=known.asked_by, by_itself_at=None)


def assigned(known: Entry, to: str | None) -> Entry:
    """Whose it is from now on; None: nobody's."""
    _refuse_over(known)
    entry = replace(known, assignee=to)
    return entry if known.state is State.RETRYING else _waiting(entry)


def asked(known: Entry, verb: Verb, actor: str, now: datetime, *, instead: str | None = None) -> Entry:
    """`retry` or `edit`: it is under way from now on. `Conflict` while another's is.

    `instead` is what is done where the owner does not take the verb.
    """
    _refuse_over(known)
    _refuse_verb(known, verb, instead)
    if known.state is State.RETRYING and known.asked_at is not None:
        raise Conflict(
            f"{known.asked_by} had this retried at {known.asked_at:%H:%M:%S} UTC: wait for what comes of it",
            code="exceptions.retrying",
        )
    return replace(known, state=State.RETRYING, asked_by=actor, asked_at=now)


def ignored(known: Entry, actor: str, reason: str, now: datetime) -> Entry:
    """Over, undone, and why."""
    _refuse_over(known)
    _refuse_verb(known, Verb.IGNORE)
    return replace(
        known, state=State.IGNORED, ended_at=now, ended_by=actor, reason=reason, asked_by=None, asked_at=None
    )


def _facts(told: Trouble) -> dict[str, Any]:
    names = [name for name in Trouble.__struct_fields__ if name != "key"]
    return {**{name: getattr(told, name) for name in names}, "rank": rank_of(told)}


def _waiting(entry: Entry, *, by_itself: bool = False) -> Entry:
    if by_itself:
        return replace(entry, state=State.RETRYING)
    return replace(entry, state=State.OPEN if entry.assignee is None else State.ASSIGNED)


def _refuse_over(known: Entry) -> None:
    if known.state in OVER:
        raise Conflict(f"this is {known.state} already: nothing is left to decide", code="exceptions.over")


def _refuse_verb(known: Entry, verb: Verb, instead: str | None = None) -> None:
    if verb not in known.verbs:
        can = ", ".join(known.verbs) or "nothing from here: mend its cause where it lies"
        said = instead or f"it takes {can}"
        raise Conflict(f"{known.kind} does not take {verb}: {said}", code="exceptions.verb")
