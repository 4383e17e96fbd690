"""The rules in force. A version of a rule never changes, so each is read and decoded once by every process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from gateway.canonical.capabilities import Connection, ResolvesGroups, WithoutGroups
from gateway.canonical.item import GroupMembers
from gateway.store.queries import queries_beside
from process_apis.availability.models import ChannelRule, ChannelTerms
from process_apis.availability.narrowing import narrowed
from process_apis.availability.selling import by_priority

_sql: Final = queries_beside(__file__, "rules.sql")
_MOST: Final = 5_000
_MOST_NARROWED: Final = 200
_decode_terms: Final = msgspec.json.Decoder(ChannelTerms, strict=False).decode


class _Head(msgspec.Struct, frozen=True):
    channel: str
    version: int
    made_at: datetime


_decode_heads: Final = msgspec.json.Decoder(list[_Head]).decode


class Rulebook:
    """Reads which versions are in force, and the terms of those that it does not know yet."""

    def __init__(self, groups: ResolvesGroups | None = None) -> None:
        self._groups = groups or WithoutGroups()
        self._narrowed: dict[tuple[str, str, int, datetime], tuple[GroupMembers, ChannelRule]] = {}
        # A version that a restore brought back is told from one that was made since by when it was made.
        self._known: dict[tuple[str, str, int, datetime], ChannelRule] = {}

    async def in_force(self, connection: Connection, tenant: str, at: datetime) -> Mapping[str, ChannelRule]:
        """The rule of every channel that has one, by channel."""
        rows = await connection.fetch(_sql.rules_in_force, tenant, at)
        return await self._read(connection, tenant, [_Head(**row) for row in rows])

    async def of_heads(self, connection: Connection, tenant: str, heads: str) -> Mapping[str, ChannelRule]:
        """The rules that `heads` names, a JSON array of (channel, version, made_at)."""
        return await self._read(connection, tenant, _decode_heads(heads))

    async def _read(self, connection: Connection, tenant: str, heads: Sequence[_Head]) -> Mapping[str, ChannelRule]:
        found = {head.channel: self._known.get((tenant, *_key(head))) for head in heads}
        missing = [head for head in heads if found[head.channel] is None]
        if missing:
            if len(self._known) + len(missing) > _MOST:
                self._known.clear()
            columns = [[head.channel for head in missing], [head.version for head in missing]]
            for row in await connection.fetch(_sql.terms_of_versions, tenant, *columns):
                rule = rule_of_row(row)
                found[rule.channel] = self._known[tenant, rule.channel, rule.version, row["made_at"]] = rule
        rules = {channel: rule for channel, rule in found.items() if rule is not None}
        if any(_is_wide(rule.terms) for rule in rules.values()):
            members = await self._groups.members(tenant, connection)
            return {head.channel: self._narrow(tenant, head, rules[head.channel], members) for head in heads}
        return rules

    async def narrow(self, connection: Connection, tenant: str, rule: ChannelRule) -> ChannelRule:
        """A rule that is not in force, as it would be."""
        return narrowed(rule, await self._groups.members(tenant, connection)) if _is_wide(rule.terms) else rule

    def _narrow(self, tenant: str, head: _Head, rule: ChannelRule, members: GroupMembers) -> ChannelRule:
        if not _is_wide(rule.terms):
            return rule
        key = (tenant, *_key(head))
        before = self._narrowed.get(key)
        if before is None or before[0] is not members:
            if len(self._narrowed) > _MOST_NARROWED:
                self._narrowed.clear()
            before = self._narrowed[key] = (members, narrowed(rule, members))
        return before[1]


def rule_of_row(row: Mapping[str, Any]) -> ChannelRule:
    """A rule from its row."""
    terms = _decode_terms(row["terms"])
    return ChannelRule(channel=row["channel"], version=row["version"], terms=terms, fences=terms.fences)


def open_rule(channel: str) -> ChannelRule:
    """What holds where no rule was ever set: everything may be sold."""
    return ChannelRule(channel=channel, version=0, terms=ChannelTerms())


def fencing_of(rules: Mapping[str, ChannelRule]) -> Sequence[ChannelRule]:
    """Those that keep something from other channels, in the order in which it is set aside."""
    return sorted((rule for rule in rules.values() if rule.fences), key=by_priority)


def _is_wide(terms: ChannelTerms) -> bool:
    return bool(terms.groups or terms.classes)


def _key(head: _Head) -> tuple[str, int, datetime]:
    return (head.channel, head.version, head.made_at)
