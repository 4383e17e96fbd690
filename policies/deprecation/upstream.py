"""The dates that an API behind us tells of itself, beside those that its owners declared here.

Without dates of ours its fields go on as they are. With them ours are told, and theirs, where they differ, are told to
operations: once for each date that contradicts.
"""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from gateway.kernel.exchange import Reply
from gateway.kernel.lifecycle import Lifecycle
from gateway.telemetry.counters import Counters

_log: Final = logging.getLogger("crossdock.lifecycle")
_FIELDS: Final = frozenset({b"deprecation", b"sunset", b"link"})
_RELATIONS: Final = frozenset({b"deprecation", b"sunset", b"successor-version"})
_LINK: Final = re.compile(rb"<[^>]*>(?:[^,\"]|\"[^\"]*\")*")
_RELATION: Final = re.compile(rb";\s*rel\s*=\s*\"?([^\";,]*)", re.IGNORECASE)
_EPOCH: Final = re.compile(rb"@(-?[0-9]{1,12})")


class Contradictions:
    """Counts, in ``crossdock_upstream_dates_contradicted_total``, answers whose dates are not the declared ones.

    Each date is logged when it is first seen, and again only when it changes.
    """

    def __init__(self, counters: Counters) -> None:
        self._count = counters.counter(
            "crossdock_upstream_dates_contradicted_total",
            "Answers of an API behind us whose Deprecation or Sunset is not what is declared of it here.",
            ("api", "version", "field"),
        )
        self._told: dict[tuple[str, str, str], bytes] = {}

    def add(self, lifecycle: Lifecycle, field: str, value: bytes) -> None:
        """Count one, and log it if it says something new."""
        place = (lifecycle.api, lifecycle.version, field)
        self._count.add(*place)
        if self._told.get(place) != value:
            self._told[place] = value
            _log.warning(
                "%s %s answers with %s %.60r, which is not what is declared of it: ask its owners, then mend "
                "[[lifecycles]]; callers are told what is declared",
                *place,
                value,
            )


def without_dates(reply: Reply, lifecycle: Lifecycle, contradictions: Contradictions | None) -> Reply | None:
    """`reply` without what it says itself of the end of its version, None where it says nothing of that."""
    kept: list[tuple[bytes, bytes]] = []
    for name, value in reply.headers:
        rest = (name, value) if name not in _FIELDS else None
        if name == b"link" and (links := _other_links(value)):
            rest = (name, links)
        elif name in (b"deprecation", b"sunset") and contradictions is not None:
            _compare(lifecycle, name, value, contradictions)
        if rest is not None:
            kept.append(rest)
    return None if kept == reply.headers else Reply(reply.status, kept, reply.body)


def _other_links(value: bytes) -> bytes:
    if not any(relation in value for relation in _RELATIONS):
        return value
    kept = [link.strip() for link in _LINK.findall(value) if not _RELATIONS & _relations(link)]
    return b", ".join(kept)


def _relations(link: bytes) -> set[bytes]:
    found = _RELATION.search(link)
    return set(found[1].lower().split()) if found else set()


def _compare(lifecycle: Lifecycle, name: bytes, value: bytes, contradictions: Contradictions) -> None:
    if name == b"deprecation" and value.strip().lower() == b"true":  # drafts before RFC 9745
        return
    told, ours = _instant(value), lifecycle.deprecated_at if name == b"deprecation" else lifecycle.sunset_at
    if told is None or ours is None or int(told.timestamp()) != int(ours.timestamp()):
        contradictions.add(lifecycle, name.decode("ascii"), value)


def _instant(value: bytes) -> datetime | None:
    """``@epoch`` (RFC 9745) or an HTTP date (RFC 8594, and drafts of the other); None where it is neither."""
    try:
        if epoch := _EPOCH.fullmatch(value.strip()):
            return datetime.fromtimestamp(int(epoch[1]), UTC)
        found = parsedate_to_datetime(value.decode("latin-1"))
    except (ValueError, OverflowError, OSError):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
