"""Options of the request validation policy."""

from msgspec import Struct


class ValidateRequestOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """`charsets` are the charset parameters a JSON content type may carry. This policy has no store."""

    charsets: frozenset[str] = frozenset({"utf-8", "utf8"})
