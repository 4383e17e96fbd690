"""What every document says of its API alike: who answers for it, how long it lives, where it is served."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gateway.contracts import answers
from gateway.contracts.api import Api
from gateway.kernel.lifecycle import Lifecycle

SERVERS: Final = [{"url": "/", "description": "The gateway that serves this document"}]
SECURITY: Final[list[dict[str, list[str]]]] = [{"oauth2": []}, {"apiKey": []}]


def ownership(api: Api) -> dict[str, Any]:
    """The extensions of `info`: layer, class, owners, service level, dates."""
    promised = {} if api.slo is None else {"x-slo": msgspec.to_builtins(api.slo)}
    return {
        "x-layer": api.layer,
        "x-facing": api.facing,
        "x-business-owner": api.business_owner,
        "x-technical-owner": api.technical_owner,
        **promised,
        "x-lifecycle": _dates(api),
    }


def dated_names(lifecycle: Lifecycle) -> Sequence[str]:
    """The fields that every answer of a version with dates bears (`policies/deprecation`)."""
    if lifecycle.deprecated_at is None:
        return ()
    return answers.DATED if lifecycle.sunset_at is not None else answers.DATED[:-1]


def _dates(api: Api) -> dict[str, Any]:
    told = {"since": api.since, **msgspec.structs.asdict(api.lifecycle), "notice": api.notice}
    return {
        name: msgspec.to_builtins(value) for name, value in told.items() if value and name not in ("api", "version")
    }
