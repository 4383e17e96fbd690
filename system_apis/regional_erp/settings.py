"""Settings of one Regional ERP instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field

_UNITS: Final = {"PCE": "EA", "CTN": "CS", "PAL": "PF", "KG": "KGM"}


def _units() -> Mapping[str, str]:
    return _UNITS


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One instance.

    `token` is a secret reference (``env:NAME`` or ``file:/path``). `units` maps the ERP's unit codes to UN/ECE Rec 20;
    one that it does not list is passed on as it is. `settle_time_s`: how many seconds an unanswered request may still
    be at work there.
    """

    base_url: str
    token: str
    units: Mapping[str, str] = field(default_factory=_units)
    settle_time_s: float = 1.0
