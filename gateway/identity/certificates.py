"""Client certificates as a TLS-terminating proxy passes them on: RFC 9440 to read them, RFC 8705 to believe them.

`policies/message_hygiene` keeps ``Client-Cert`` only from trusted peers. The proxy must remove what a client sends
under that name itself (RFC 9440 section 4).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from cryptography import x509
from msgspec import Struct

from gateway.identity.public_keys import base64url
from gateway.kernel.errors import Invalid

_FORWARDING: Final = "forwarding"  # the note of policies/message_hygiene
_CLIENT_CERT: Final = b"client-cert"
_BYTE_SEQUENCE: Final = re.compile(rb":([A-Za-z0-9+/]+={0,2}):")
_SAN: Final[tuple[tuple[Any, str], ...]] = (
    (x509.DNSName, "dns"),
    (x509.UniformResourceIdentifier, "uri"),
    (x509.RFC822Name, "email"),
    (x509.IPAddress, "ip"),
)


class ClientCertificate(Struct, frozen=True):
    """`thumbprint` as in ``x5t#S256``; `names` as ``dns:<name>``, ``uri:``, ``email:``, ``ip:``, ``dn:<RFC 4514>``."""

    thumbprint: str
    names: frozenset[str]
    valid_from: datetime
    valid_until: datetime


def forwarded_certificate(notes: Mapping[str, Any]) -> bytes | None:
    """The ``Client-Cert`` that a trusted peer vouches for, None without one."""
    forwarding = notes.get(_FORWARDING)
    value: bytes | None = forwarding.get(_CLIENT_CERT) if forwarding else None
    return value


def der_of(field: bytes) -> bytes:
    """The certificate in a ``Client-Cert`` field (RFC 9440 section 2.1: one structured-field byte sequence)."""
    match = _BYTE_SEQUENCE.fullmatch(field.strip())
    if match is None:
        raise _unreadable()
    try:
        return base64.b64decode(match[1], validate=True)
    except binascii.Error:
        raise _unreadable() from None


def thumbprint_of(field: bytes) -> str:
    """``x5t#S256`` of the certificate in a ``Client-Cert`` field (RFC 8705 section 3.1)."""
    return base64url(hashlib.sha256(der_of(field)).digest())


def read_certificate(field: bytes) -> ClientCertificate:
    """The certificate in a ``Client-Cert`` field; raises `Invalid` (400, code ``client_certificate.unreadable``)."""
    der = der_of(field)
    try:
        certificate = x509.load_der_x509_certificate(der)
        names = _names(certificate)
    except (ValueError, TypeError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise _unreadable() from None
    return ClientCertificate(
        base64url(hashlib.sha256(der).digest()),
        names,
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )


def normal_name(name: str) -> str:
    """A registered name in the spelling of `ClientCertificate.names`; raises ValueError for an unknown kind."""
    kind, _, value = name.partition(":")
    if kind not in {"dn", *(kind for _, kind in _SAN)} or not value:
        raise ValueError("write dn:<RFC 4514 name>, dns:<host>, uri:<URI>, email:<address> or ip:<address>")
    if kind == "dn":
        return f"dn:{x509.Name.from_rfc4514_string(value).rfc4514_string()}"
    return f"{kind}:{value.lower()}" if kind == "dns" else name


def _names(certificate: x509.Certificate) -> frozenset[str]:
    names = {f"dn:{certificate.subject.rfc4514_string()}"}
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset(names)
    for sort, kind in _SAN:
        for value in alternative.get_values_for_type(sort):
            names.add(f"{kind}:{str(value).lower()}" if kind == "dns" else f"{kind}:{value}")
    return frozenset(names)


def _unreadable() -> Invalid:
    return Invalid(
        "Client-Cert must be one certificate in DER, as a byte sequence (RFC 9440): look at the proxy's settings",
        syntax=True,
        code="client_certificate.unreadable",
    )
