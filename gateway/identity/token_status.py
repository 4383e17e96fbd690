"""Introspection (RFC 7662) and revocation (RFC 7009) of our access tokens.

Both ask the client to authenticate as at the token endpoint. A partner's client learns about and revokes its own tokens
only; an application or operator those of its tenant. About any other token, and about what is no token of ours, the
answer is that it is not active: nobody learns more by asking.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from authlib.oauth2.rfc6749.errors import InvalidRequestError, OAuth2Error

from gateway.identity.authorization_server import TokenReply, refusal
from gateway.identity.client_authentication import Client, authenticate_client
from gateway.identity.clients import revoke_token
from gateway.identity.endpoint_requests import EndpointRequest, read_form
from gateway.identity.grants import ClientKind
from gateway.identity.identity import Identity
from gateway.identity.tokens import VerifiedToken, verify_token
from gateway.kernel.errors import NotAuthenticated
from gateway.store.queries import queries_beside

INTROSPECTION_PATH: Final = "/oauth2/introspect"
REVOCATION_PATH: Final = "/oauth2/revoke"
_NO_STORE: Final = {"cache-control": "no-store"}
_NOT_ACTIVE: Final = TokenReply(200, {"active": False}, _NO_STORE)
_REVOKED: Final = TokenReply(200, None, _NO_STORE)
_sql = queries_beside(__file__)


async def introspect(
    identity: Identity, authorization: str | None, body: bytes, *, certificate: bytes | None = None
) -> TokenReply:
    """RFC 7662 section 2. Raises `Unavailable` when the record is down, or revocations cannot be read."""
    try:
        client, text = await _asked(identity, INTROSPECTION_PATH, authorization, body, certificate)
    except OAuth2Error as error:
        return refusal(error)
    token = _verified(identity, text)
    if token is None or not _may(client, token):
        return _NOT_ACTIVE
    if await identity.store.fetchrow(_sql.find_client, token.client_id) is None:
        return _NOT_ACTIVE
    principal = token.principal
    told: dict[str, Any] = {
        "active": True,
        "scope": " ".join(sorted(principal.scopes)),
        "client_id": token.client_id,
        "sub": principal.subject,
        "token_type": "DPoP" if token.confirmation is not None and token.confirmation.jkt else "Bearer",
        "exp": int(principal.expires_at),
        "iat": token.issued_at,
        "iss": identity.options.issuer,
        "aud": identity.options.accepted_audience,
        "jti": token.token_id,
    }
    if token.confirmation is not None:
        told["cnf"] = token.confirmation.claim()
    return TokenReply(200, told, _NO_STORE)


async def revoke(
    identity: Identity, authorization: str | None, body: bytes, *, certificate: bytes | None = None
) -> TokenReply:
    """RFC 7009 section 2: 200 also for what is no valid token, so that repeating it does no harm.

    This worker refuses the token when the answer leaves, every other within `poll_every`, 5 s at the latest.
    """
    try:
        client, text = await _asked(identity, REVOCATION_PATH, authorization, body, certificate)
    except OAuth2Error as error:
        return refusal(error)
    token = _verified(identity, text)
    if token is None or not _may(client, token):
        return _REVOKED
    until = datetime.fromtimestamp(token.principal.expires_at, UTC) + timedelta(seconds=identity.options.leeway)
    async with identity.store.transaction() as connection:
        await revoke_token(
            connection,
            tenant=client.grant.tenant,
            client_id=token.client_id,
            token_id=token.token_id,
            expires_at=until,
            actor=f"client:{client.client_id}",
        )
    await identity.trust.refresh()
    return _REVOKED


async def _asked(
    identity: Identity, path: str, authorization: str | None, body: bytes, certificate: bytes | None
) -> tuple[Client, str]:
    form = read_form(body)
    if not form.get("token"):
        raise InvalidRequestError("token is missing: send the access token that you ask about.")
    request = EndpointRequest(path=path, form=form, authorization=authorization, certificate=certificate)
    return await authenticate_client(identity, request), form["token"]


def _verified(identity: Identity, text: str) -> VerifiedToken | None:
    """The token in `text` if it is one of ours and in force; None otherwise."""
    snapshot = identity.trust.snapshot
    try:
        token = verify_token(text.encode(), snapshot.keys, identity.options)
    except NotAuthenticated:
        return None
    return None if snapshot.has_revoked(token) else token


def _may(client: Client, token: VerifiedToken) -> bool:
    """Whether `client` may ask about `token`."""
    if client.grant.kind is ClientKind.PARTNER:
        return client.client_id == token.client_id
    return client.grant.tenant == token.principal.tenant
