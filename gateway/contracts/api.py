"""An API version, as the composition root hands it to `contracts` and to the catalogue."""

from __future__ import annotations

from typing import Any

from litestar.handlers import HTTPRouteHandler
from msgspec import Struct


class Webhook(Struct, frozen=True, kw_only=True):
    """One message that we send to a partner's own address, as Standard Webhooks 1.0 has it.

    `payload` is the type of its whole body. The first line of that type's docstring is its summary.
    """

    name: str
    payload: Any


class Api(Struct, frozen=True, kw_only=True):
    """One API in one major version: who owns it and the handlers that serve it.

    `layer` is ``experience``, ``process`` or ``system``; `facing` says whom it is for: partner, internal or system.
    """

    layer: str
    name: str
    version: str
    facing: str
    title: str
    description: str
    business_owner: str
    technical_owner: str
    handlers: tuple[HTTPRouteHandler, ...]
    webhooks: tuple[Webhook, ...] = ()

    @property
    def path(self) -> str:
        """Where its document lies below `openapi/`."""
        return f"{self.layer}/{self.name}/{self.version}.yaml"
