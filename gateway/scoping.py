"""Which scopes there are: those that some operation asks for, of our own APIs or of one that the settings wrap."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from gateway.app import published_apis
from gateway.contracts.api import Api
from gateway.kernel.errors import Misconfigured
from gateway.kernel.spelling import with_nearest
from gateway.settings import Settings


def check_scopes(settings: Settings, scopes: Collection[str], *, layers: Collection[str]) -> None:
    """Raise `Misconfigured` for a scope that no API of these layers (``experience``, ``process``, ``system``) asks for.

    Who is granted one that nothing asks for may do nothing with it, and would learn so from his first call.
    """
    known = {scope for api in published_apis(settings) if api.layer in layers for scope in _asked_by(api)}
    for scope in scopes:
        if scope not in known:
            raise Misconfigured(
                f"no API here asks for the scope {with_nearest(scope, known)}: they ask for {', '.join(sorted(known))}"
            )


def _asked_by(api: Api) -> Iterator[str]:
    for handler in api.handlers:
        yield from handler.opt.get("scopes", ())
    for operation in api.wrapped.operations if api.wrapped is not None else ():
        yield from operation.route.scopes
