"""Options of the canonical request policy."""

from msgspec import Struct


class CanonicalRequestOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """`longest_path` and `longest_query` are in bytes, as sent. This policy has no store and so no failure mode."""

    longest_path: int = 2048
    longest_query: int = 8192
