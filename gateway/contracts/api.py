"""An API version, as the composition root hands it to `contracts` and to the catalogue."""

from __future__ import annotations

from datetime import date
from typing import Any

from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from gateway.kernel.lifecycle import Lifecycle


class Webhook(Struct, frozen=True, kw_only=True):
    """One message that we send to a partner's own address, as Standard Webhooks 1.0 has it.

    `payload` is the type of its whole body. The first line of that type's docstring is its summary.
    """

    name: str
    payload: Any


class Slo(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the owners of an API promise, measured at the door over a month.

    `availability_percent`: calls that did not fail for a reason of ours (5xx). `latency_p99_ms`: the time in
    milliseconds that 99 of 100 calls keep.
    """

    availability_percent: float
    latency_p99_ms: int


class Api(Struct, frozen=True, kw_only=True):
    """One API in one major version: who owns it, how long it lives, and the handlers that serve it.

    `layer` is ``experience``, ``process`` or ``system``; `facing` says whom it is for: partner, internal or system.
    `notice` says what whoever leaves this version has to change.
    """

    layer: str
    name: str
    version: str
    facing: str
    title: str
    description: str
    business_owner: str
    technical_owner: str
    slo: Slo
    since: date
    lifecycle: Lifecycle
    handlers: tuple[HTTPRouteHandler, ...]
    webhooks: tuple[Webhook, ...] = ()
    notice: str = ""

    @property
    def path(self) -> str:
        """Where its document lies below `openapi/`."""
        return f"{self.layer}/{self.name}/{self.version}.yaml"

    @property
    def anchor(self) -> str:
        """The path that all of its operations begin with."""
        return anchor_of(self.layer, self.name, self.version)


def anchor_of(layer: str, name: str, version: str) -> str:
    """The path that all operations of an API version begin with."""
    return f"/{name}/{version}" if layer == "experience" else f"/{layer}/{name}/{version}"
