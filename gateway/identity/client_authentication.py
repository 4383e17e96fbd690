"""A client proves itself at our OAuth endpoints, in exactly one way.

`client_secret_basic` and `client_secret_post` (RFC 6749 section 2.3.1), `private_key_jwt` (RFC 7523), and certificates
(`tls_client_auth`, `self_signed_tls_client_auth`, RFC 8705) that a TLS-terminating proxy passes on. A client may use
the ways it is registered for and no other; whatever is wrong, the answer is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidRequestError
from authlib.oauth2.rfc6749.util import extract_basic_authorization

from gateway.identity.assertions import ASSERTION_TYPE, claimed_client, verify_assertion
from gateway.identity.certificates import ClientCertificate, read_certificate
from gateway.identity.credentials import CLIENT_SECRET
from gateway.identity.endpoint_requests import EndpointRequest
from gateway.identity.grants import Grant, grant_of
from gateway.identity.identity import Identity
from gateway.identity.options import ClientCertificates, IdentityOptions
from gateway.kernel.errors import Invalid, NotAuthenticated
from gateway.kernel.keyring import KeyRing
from gateway.store.queries import queries_beside

AUTH_METHODS: Final = ("client_secret_basic", "client_secret_post", "private_key_jwt")
CERTIFICATE_METHODS: Final = ("tls_client_auth", "self_signed_tls_client_auth")
_sql = queries_beside(__file__)


class Client:
    """A client in force, as the record has it."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.client_id: str = row["client_id"]
        self.grant: Grant = grant_of(row)
        self.scopes = frozenset(row["scopes"])
        self._digests = tuple(zip(row["digests"], row["pepper_versions"], strict=True))
        self._jwks: tuple[str, ...] = tuple(row["jwks"])
        self._named = frozenset(row["named"])
        self._pinned = frozenset(row["pinned"])

    @property
    def jwks(self) -> list[Any]:
        """Its registered public keys."""
        return [msgspec.json.decode(jwk) for jwk in self._jwks]

    def has_secret(self, secret: str, ring: KeyRing) -> bool:
        """Whether `secret` is one of its live ones."""
        # No short circuit: the time taken does not tell which of two live secrets was meant.
        verdicts = [
            ring.matches(CLIENT_SECRET, secret.encode(), digest, version=version) for digest, version in self._digests
        ]
        return any(verdicts)

    def has_certificate(self, certificate: ClientCertificate, believed: ClientCertificates) -> bool:
        """Whether it is registered with this certificate, or, where the proxy verified it, with one of its names."""
        if not certificate.valid_from <= datetime.now(UTC) <= certificate.valid_until:
            return False
        named = believed is ClientCertificates.VERIFIED and not self._named.isdisjoint(certificate.names)
        return named or certificate.thumbprint in self._pinned


def methods_of(options: IdentityOptions) -> list[str]:
    """The ways of authenticating that can work here, for our metadata."""
    if options.client_certificates is ClientCertificates.IGNORED:
        return list(AUTH_METHODS)
    methods = (
        CERTIFICATE_METHODS if options.client_certificates is ClientCertificates.VERIFIED else CERTIFICATE_METHODS[1:]
    )
    return [*AUTH_METHODS, *methods]


async def authenticate_client(identity: Identity, request: EndpointRequest) -> Client:
    """The client behind `request`.

    Raises Authlib's `InvalidClientError`, or `InvalidRequestError` for two ways at once; `Unavailable` when the record
    is down.
    """
    form = request.form
    ways = [
        way
        for way, given in (
            (_by_basic, request.authorization is not None),
            (_by_post, "client_secret" in form),
            (_by_assertion, "client_assertion" in form or "client_assertion_type" in form),
        )
        if given
    ]
    if len(ways) > 1:
        raise InvalidRequestError("Authenticate once: with HTTP Basic, a client_secret, or a client_assertion.")
    if not ways and request.certificate is not None:
        ways = [_by_certificate]
    client = await ways[0](identity, request) if ways else None
    if client is None:
        raise InvalidClientError(status_code=401)
    if form.get("client_id", client.client_id) != client.client_id:
        raise InvalidRequestError("client_id is not the client that authenticates.")
    return client


async def _by_basic(identity: Identity, request: EndpointRequest) -> Client | None:
    try:
        client_id, secret = extract_basic_authorization({"Authorization": request.authorization})
    except ValueError:
        return None
    return await _with_secret(identity, client_id, secret)


async def _by_post(identity: Identity, request: EndpointRequest) -> Client | None:
    return await _with_secret(identity, request.form.get("client_id"), request.form["client_secret"])


async def _with_secret(identity: Identity, client_id: str | None, secret: str | None) -> Client | None:
    client = await _find(identity, client_id)
    return client if client is not None and secret and client.has_secret(secret, identity.ring) else None


async def _by_assertion(identity: Identity, request: EndpointRequest) -> Client | None:
    if request.form.get("client_assertion_type") != ASSERTION_TYPE:
        return None
    text = request.form.get("client_assertion", "").encode()
    client = await _find(identity, claimed_client(text))
    if client is None:
        return None
    options = identity.options
    audiences = {options.issuer, f"{options.issuer}/oauth2/token", f"{options.issuer}{request.path}"}
    try:
        assertion = verify_assertion(text, client.client_id, client.jwks, audiences, leeway=options.leeway)
    except NotAuthenticated:
        return None
    # Once for all workers and for good: in the record, as a token is worth more than the cache that could forget it.
    first = await identity.store.fetchval(_sql.use_assertion, assertion.digest, assertion.expires_at)
    return client if first else None


async def _by_certificate(identity: Identity, request: EndpointRequest) -> Client | None:
    believed = identity.options.client_certificates
    if request.certificate is None or believed is ClientCertificates.IGNORED:
        return None
    try:
        certificate = read_certificate(request.certificate)
    except Invalid:
        return None
    client = await _find(identity, request.form.get("client_id"))
    return client if client is not None and client.has_certificate(certificate, believed) else None


async def _find(identity: Identity, client_id: str | None) -> Client | None:
    if not client_id or "\x00" in client_id:
        return None
    row = await identity.store.fetchrow(_sql.find_client, client_id)
    return None if row is None else Client(row)
