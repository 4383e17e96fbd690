"""What is posted to our OAuth endpoints, read strictly (RFC 6749 appendix B)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749.errors import InvalidRequestError
from msgspec import Struct

_MAX_FORM: Final = 8_192
_MAX_FIELDS: Final = 20


class EndpointRequest(Struct, frozen=True, kw_only=True):
    """One request to `path`, with what authenticates it.

    `certificate` is the ``Client-Cert`` field of a trusted peer, `proof` the ``DPoP`` field.
    """

    path: str
    form: Mapping[str, str]
    authorization: str | None = None
    certificate: bytes | None = None
    proof: bytes | None = None


def read_form(body: bytes) -> dict[str, str]:
    """The fields, each once. Raises Authlib's `InvalidRequestError`."""
    if len(body) > _MAX_FORM:
        raise InvalidRequestError("The form is too long.")
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError:
        raise InvalidRequestError("The body is not application/x-www-form-urlencoded in UTF-8.") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise InvalidRequestError("A parameter is repeated.")
    if any(not text.isascii() or not text.isprintable() or '"' in text or "\\" in text for text in form.values()):
        raise InvalidRequestError("A parameter holds characters that RFC 6749 does not allow.")
    return form
