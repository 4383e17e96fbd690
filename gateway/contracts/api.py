"""An API version, as the composition root hands it to `contracts` and to the catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date
from typing import Any

from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from gateway.kernel.exchange import Route
from gateway.kernel.lifecycle import Lifecycle, Slo


class Webhook(Struct, frozen=True, kw_only=True):
    """One message that we send to a partner's own address, as Standard Webhooks 1.0 has it.

    `payload` is the type of its whole body. The first line of that type's docstring is its summary.
    """

    name: str
    payload: Any


class WrappedOperation(Struct, frozen=True, kw_only=True):
    """One operation of somebody else's API: its `path` and `method` in their document, and the route that serves it."""

    path: str
    method: str
    route: Route


class Wrapped(Struct, frozen=True, kw_only=True):
    """An existing API that we pass on: its whole OpenAPI `document` (3.0 or 3.1) and what of it is served.

    `unasked` are header fields that no caller has to send, `unsaid` those of its answers that no caller gets; both in
    lower case.
    """

    document: Mapping[str, Any]
    operations: Sequence[WrappedOperation]
    unasked: AbstractSet[str] = frozenset()
    unsaid: AbstractSet[str] = frozenset()


class Api(Struct, frozen=True, kw_only=True):
    """One API in one major version: who owns it, how long it lives, and the handlers that serve it.

    `layer` is ``experience``, ``process`` or ``system``; `facing` says whom it is for: partner, internal or system.
    `notice` says what whoever leaves this version has to change. A `wrapped` API has no handlers of ours, and promises
    (`slo`, `since`) what its owners put into the settings.
    """

    layer: str
    name: str
    version: str
    facing: str
    title: str
    description: str
    business_owner: str
    technical_owner: str
    slo: Slo | None
    since: date | None
    lifecycle: Lifecycle
    handlers: tuple[HTTPRouteHandler, ...]
    webhooks: tuple[Webhook, ...] = ()
    notice: str = ""
    wrapped: Wrapped | None = None

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
