"""Every verb on claims happens once per action id: what it was used for, and what it answered, is kept beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import asyncpg
import msgspec

from gateway.canonical.capabilities import Connection
from gateway.canonical.stock import ClaimedLine, ClaimState
from gateway.kernel.errors import Conflict
from gateway.store.arrays import array
from gateway.store.queries import queries_beside

_sql: Final = queries_beside(__file__)
_encode: Final = msgspec.json.Encoder(decimal_format="string").encode


class ActionRow(msgspec.Struct, frozen=True):
    """What an action id was used for, and answered: that of a claim may be kept as the ids of what it made."""

    action: str
    fingerprint: bytes
    answer: list[ClaimedLine | str]


def digest(verb: str, order: str, channel: str | None, what: object) -> bytes:
    """What tells two commands under one action id apart."""
    return hashlib.blake2b(_encode([verb, order, channel, what]), digest_size=16).digest()


def answered(
    known: ActionRow, fingerprint: bytes, made: Mapping[str, ClaimedLine] = MappingProxyType({})
) -> list[ClaimedLine]:
    """What the action answered; raises `Conflict` (``claim.action_reused``) where it was another command.

    `made` has the claims that its answer may name by their ids.
    """
    if known.fingerprint != fingerprint:
        raise action_reused(known.action)
    return [made[each] if isinstance(each, str) else each for each in known.answer]


async def claims_made(connection: Connection, tenant: str, actions: Iterable[ActionRow]) -> Mapping[str, ClaimedLine]:
    """The claims that answers of `actions` name by their ids, as they were made."""
    named = [each for action in actions for each in action.answer if isinstance(each, str)]
    if not named:
        return {}
    return {
        row["claim"]: ClaimedLine(
            claim=row["claim"],
            line=row["order_line"],
            item=row["item"],
            location=row["location"],
            amount=row["amount"],
            state=ClaimState.RESERVED,
            kit=row["kit"],
            per_kit=row["per_kit"],
        )
        for row in await connection.fetch(_sql.claims_made, tenant, array(named))
    }


def action_of_row(action: str, row: Any) -> ActionRow | None:
    """The action of a row with its `fingerprint` and `answer`; None where there was none."""
    if row["fingerprint"] is None:
        return None
    return ActionRow(action, row["fingerprint"], msgspec.json.decode(row["answer"], type=list[ClaimedLine | str]))


async def record_action(
    connection: Connection,
    tenant: str,
    action: str,
    verb: str,
    order: str,
    fingerprint: bytes,
    answer: Sequence[ClaimedLine],
) -> None:
    """Keep what was done; raises `Conflict` (``claim.action_reused``) where another order's command took the id."""
    try:
        kept = _encode(answer).decode()
        await connection.execute(_sql.record_action, tenant, action, verb, order, fingerprint, kept)
    except asyncpg.UniqueViolationError as error:
        raise action_reused(action) from error


def action_reused(action: str = "") -> Conflict:
    """What whoever uses one action id for two things is told."""
    named = f"action {action}" if action else "an action of these"
    return Conflict(
        f"{named} was something else before: give every command its own action id", code="claim.action_reused"
    )
