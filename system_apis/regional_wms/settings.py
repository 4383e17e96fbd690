"""Settings of one Regional WMS instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field

_UNITS: Final = {"PCE": "EA", "CTN": "CS", "PAL": "PF", "KG": "KGM"}


def _units() -> Mapping[str, str]:
    return _UNITS


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One instance.

    `api_key` and `webhook_secret` are secret references (``env:NAME`` or ``file:/path``). `units` maps the WMS's unit
    codes to UN/ECE Rec 20; a unit it does not list is passed on as it is, so that its movement is parked and not
    misread. `tolerance_s`: how old, in seconds, a signed webhook may be.
    """

    base_url: str
    api_key: str
    webhook_secret: str
    previous_webhook_secret: str | None = None
    units: Mapping[str, str] = field(default_factory=_units)
    tolerance_s: float = 300.0
    page_size: int = 500
