"""Settings of authorisation."""

from __future__ import annotations

from msgspec import Struct


class AuthoriseOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`tenant`: whose systems stand behind this gateway. No store is asked, so none can be down."""

    tenant: str
