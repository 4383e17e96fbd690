"""Settings of one account with a parcel carrier."""

from __future__ import annotations

from msgspec import Struct


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One account.

    `api_key` and `webhook_secret` are secret references (``env:NAME`` or ``file:/path``); while a webhook secret is
    changed the old one goes to `previous_webhook_secret`. `page_size`: tracking events read at once.
    """

    base_url: str
    api_key: str
    webhook_secret: str
    previous_webhook_secret: str | None = None
    page_size: int = 200
