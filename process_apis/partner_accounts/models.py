"""What is asked for, and what is given out once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct

from gateway.identity.clients import ApiKeyView, ClientView
from gateway.identity.partners import Partner


class ChecksLimits(Protocol):
    """Whoever applies limits says whether some are understood."""

    def __call__(self, limits: Mapping[str, Any]) -> object:
        """Raises `Invalid`."""
        ...


class AddPartner(Struct, frozen=True, kw_only=True):
    """A new partner. `accounts` are customer codes of the ERP; `webhook_events` empty means all of them."""

    name: str
    channel: str
    plan: str
    accounts: tuple[str, ...]
    scopes: tuple[str, ...]
    webhook_url: str | None
    webhook_events: tuple[str, ...]


class ChangePartner(Struct, frozen=True, kw_only=True):
    """All that may change of a partner, as it is to be."""

    channel: str
    plan: str
    accounts: tuple[str, ...]


class Account(Struct, frozen=True, kw_only=True):
    """A partner with all that it may show at the door."""

    partner: Partner
    clients: tuple[ClientView, ...]
    api_keys: tuple[ApiKeyView, ...]
