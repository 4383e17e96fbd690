"""Settings of one shop."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from gateway.kernel.errors import Misconfigured

_LARGEST_CALL = 250


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One instance.

    `access_key` is a secret reference (``env:NAME`` or ``file:/path``). `writes` says how figures are set: ``compare``
    (only while the level is as it was read) or ``feed`` (a bulk file that overwrites and never names what it did not
    know). `batch_size`: levels in a call, 250 at most. `page_size`: order events read at once.
    """

    base_url: str
    access_key: str
    writes: Literal["compare", "feed"] = "compare"
    batch_size: int = _LARGEST_CALL
    page_size: int = 250

    def __post_init__(self) -> None:
        if not 1 <= self.batch_size <= _LARGEST_CALL:
            raise Misconfigured(f"batch_size must be from 1 to {_LARGEST_CALL}, which is all that the shop takes")
