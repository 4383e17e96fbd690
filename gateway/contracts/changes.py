"""One difference between two published contracts, and what it means to whoever uses the older one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct


class Change(Struct, frozen=True, kw_only=True, order=True):
    """`breaking`: a consumer written against the older contract may fail. `rule` is stable, `where` says the place.

    `where` begins with the operation (``POST /orders``) or the webhook, and goes on with the place inside of it.
    """

    breaking: bool
    where: str
    rule: str
    what: str


class Side(Struct, frozen=True):
    """Which way a schema travels. A narrower input and a wider output break whoever relied on the older one."""

    takes: bool

    def narrower(self, where: str, rule: str, what: str) -> Change:
        """Fewer values fit than before."""
        return Change(breaking=self.takes, where=where, rule=f"{self}.{rule}", what=what)

    def wider(self, where: str, rule: str, what: str) -> Change:
        """More values fit than before."""
        return Change(breaking=not self.takes, where=where, rule=f"{self}.{rule}", what=what)

    def other(self, where: str, rule: str, what: str) -> Change:
        """Other values fit than before, or nobody can say."""
        return Change(breaking=True, where=where, rule=f"{self}.{rule}", what=what)

    def __str__(self) -> str:
        return "request" if self.takes else "answer"


REQUEST: Final = Side(takes=True)
ANSWER: Final = Side(takes=False)


def breaking(where: str, rule: str, what: str) -> Change:
    """A consumer may fail."""
    return Change(breaking=True, where=where, rule=rule, what=what)


def additive(where: str, rule: str, what: str) -> Change:
    """No consumer fails."""
    return Change(breaking=False, where=where, rule=rule, what=what)


class Document:
    """One OpenAPI document with its references at hand."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content

    def resolved(self, node: Any) -> tuple[Any, str | None]:
        """What a node stands for, and the reference it had (the last, where references lead to references)."""
        name = None
        for _ in range(20):
            if not isinstance(node, dict) or "$ref" not in node:
                break
            name = str(node["$ref"])
            found: Any = self.content
            for part in name.removeprefix("#/").split("/"):
                found = found.get(part.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, dict) else {}
            node = found
        return (node if isinstance(node, dict) else {}), name

    def of(self, node: Any) -> dict[str, Any]:
        """What a node stands for."""
        found: dict[str, Any] = self.resolved(node)[0]
        return found


def ordered(changes: Iterable[Change]) -> list[Change]:
    """Breaking ones first, each once, by place."""
    return sorted(set(changes), key=lambda change: (not change.breaking, change.where, change.rule, change.what))
