"""What a credential grants: the record of a client turned into a `Principal`, whichever way it was proved."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from sys import intern
from typing import Any, Final

from msgspec import Struct

from gateway.kernel.context import Principal, Zone


class ClientKind(StrEnum):
    """What a client is for; its zones follow from it."""

    PARTNER = "partner"
    APPLICATION = "application"
    OPERATOR = "operator"


ZONES: Final[Mapping[ClientKind, frozenset[Zone]]] = {
    ClientKind.PARTNER: frozenset({Zone.EXPERIENCE}),
    ClientKind.APPLICATION: frozenset({Zone.PROCESS}),
    ClientKind.OPERATOR: frozenset({Zone.SYSTEM, Zone.PROCESS}),
}


class Grant(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The rights of a client: private claims of our tokens, columns of our tables.

    `generation` counts how often all tokens of the client were revoked.
    """

    tenant: str
    kind: ClientKind
    partner: str | None = None
    channel: str | None = None
    plan: str = "standard"
    generation: int = 0


def grant_of(row: Mapping[str, Any]) -> Grant:
    """The grant in a row of `find_client` or `find_api_key`."""
    return Grant(
        tenant=row["tenant"],
        kind=ClientKind(row["kind"]),
        partner=row["partner_id"],
        channel=row["channel"],
        plan=row["plan"] or "standard",
        generation=row["generation"],
    )


def principal_of(
    grant: Grant, *, subject: str, credential: str, scopes: frozenset[str], expires_at: float
) -> Principal:
    """The caller that a proved credential stands for.

    What many callers have in common is one object for all of them: with thousands of tokens in use, what a request
    compares is then still in the processor's cache.
    """
    return Principal(
        tenant=intern(grant.tenant),
        subject=intern(subject),
        credential=credential,
        zones=ZONES[grant.kind],
        scopes=_shared(scopes),
        plan=intern(grant.plan),
        partner=_interned(grant.partner),
        channel=_interned(grant.channel),
        expires_at=expires_at,
    )


def _interned(text: str | None) -> str | None:
    return None if text is None else intern(text)


@lru_cache(maxsize=1_024)
def _shared(scopes: frozenset[str]) -> frozenset[str]:
    return scopes
