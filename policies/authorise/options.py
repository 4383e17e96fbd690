"""Settings of authorisation."""

from __future__ import annotations

from msgspec import Struct


class AuthoriseOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`tenants` that this installation serves; empty means all. No store is asked, so none can be down."""

    tenants: frozenset[str] = frozenset()
