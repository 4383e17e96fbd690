"""Administration of what a client proves itself with instead of a secret: public keys and certificates.

In the caller's transaction, audited. Whoever registers a stronger proof gives up the weaker one: its secrets end,
unless they are kept on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.canonical.capabilities import Connection
from gateway.identity.assertions import ASSERTION_ALGORITHMS
from gateway.identity.certificates import normal_name
from gateway.identity.changes import record_change
from gateway.identity.clients import lock_client
from gateway.identity.public_keys import base64url, public_key, thumbprint
from gateway.kernel.errors import Rejected
from gateway.store.queries import queries_beside

_MOST_KEYS = 10
_sql = queries_beside(__file__)


async def register_client_keys(
    connection: Connection,
    *,
    tenant: str,
    client_id: str,
    jwks: Mapping[str, Any],
    keep_secrets: bool = False,
    actor: str = "cli",
) -> list[str]:
    """The public keys of a client's `private_key_jwt`, in place of those before; returns their ids.

    `jwks` is a JWK set (RFC 7517); a key without `kid` gets its thumbprint. Two keys let a client rotate. Raises
    `Rejected` (code ``client.bad_key``) for a private, weak or unknown one.
    """
    keys = jwks.get("keys")
    if not isinstance(keys, list) or not 0 < len(keys) <= _MOST_KEYS:
        raise _bad_key(f"give a JWK set of 1 to {_MOST_KEYS} keys")
    await lock_client(connection, tenant, client_id)
    await connection.execute(_sql.drop_client_keys, client_id)
    kids: list[str] = []
    for jwk in keys:
        kid = _checked_kid(jwk)
        if kid in kids:
            raise _bad_key("each needs its own kid")
        kids.append(kid)
        stored = msgspec.json.encode({**jwk, "kid": kid}).decode()
        await connection.execute(_sql.add_client_key, client_id, kid, stored)
    await _settle(connection, tenant, client_id, actor, keep_secrets, "client.keys_registered", {"kids": kids})
    return kids


async def register_client_certificates(
    connection: Connection,
    *,
    tenant: str,
    client_id: str,
    names: Sequence[str] = (),
    certificates: Sequence[bytes] = (),
    keep_secrets: bool = False,
    actor: str = "cli",
) -> None:
    """The certificates of a client, in place of those before.

    `names` are for `tls_client_auth` (``dn:``, ``dns:``, ``uri:``, ``email:``, ``ip:``): any one of them in a
    certificate that the proxy verified will do. `certificates` (PEM) are for `self_signed_tls_client_auth`. Raises
    `Rejected` (code ``client.bad_certificate``).
    """
    if not names and not certificates:
        raise Rejected("give at least one name or certificate", code="client.bad_certificate")
    try:
        marks = [("named", normal_name(name)) for name in names]
        marks += [("pinned", _thumbprint(pem)) for pem in certificates]
    except ValueError as error:
        raise Rejected(f"the certificate is refused: {error}", code="client.bad_certificate") from None
    await lock_client(connection, tenant, client_id)
    await connection.execute(_sql.drop_client_certificates, client_id)
    for kind, mark in marks:
        await connection.execute(_sql.add_client_certificate, client_id, kind, mark)
    detail = {"marks": [mark for _, mark in marks]}
    await _settle(connection, tenant, client_id, actor, keep_secrets, "client.certificates_registered", detail)


async def _settle(
    connection: Connection,
    tenant: str,
    client_id: str,
    actor: str,
    keep_secrets: bool,
    action: str,
    detail: dict[str, Any],
) -> None:
    if not keep_secrets:
        await connection.execute(_sql.end_client_secrets, client_id, 0.0)
    await connection.execute(_sql.bump_epoch)
    await record_change(connection, tenant, actor, action, client_id, {**detail, "secrets_kept": keep_secrets})


def _checked_kid(jwk: object) -> str:
    if not isinstance(jwk, dict):
        raise _bad_key("a member of keys is not a JWK")
    try:
        public_key(jwk, ASSERTION_ALGORITHMS)
        kid = jwk.get("kid") or thumbprint(jwk)
    except ValueError as error:
        raise _bad_key(str(error)) from None
    if not isinstance(kid, str):
        raise _bad_key("its kid is not a text")
    return kid


def _thumbprint(pem: bytes) -> str:
    return base64url(x509.load_pem_x509_certificate(pem).fingerprint(SHA256()))


def _bad_key(why: str) -> Rejected:
    return Rejected(f"the key is refused: {why}", code="client.bad_key")
