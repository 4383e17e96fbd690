"""Locks of locations: shared by movements, exclusive for a full snapshot and a switch of the holder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def location_keys(tenant: str, locations: Iterable[str]) -> list[int]:
    """Advisory lock keys of locations, in the order they are taken."""
    digests = (hashlib.blake2b(f"{tenant}\0{place}".encode(), digest_size=8).digest() for place in set(locations))
    return sorted(int.from_bytes(digest, signed=True) for digest in digests)
