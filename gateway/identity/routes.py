"""The authorisation server's routes: token endpoint, its metadata (RFC 8414), our key set (RFC 7517)."""

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler

from gateway.identity.authorization_server import AUTH_METHODS, answer_token_request
from gateway.identity.identity import Identity
from gateway.identity.signing_keys import ALGORITHM

_PUBLIC: dict[str, Any] = {"zone": None, "api": "identity", "version": "v1"}
_FOR_A_WHILE = {"cache-control": "public, max-age=300"}


def make_routes(identity: Identity) -> list[HTTPRouteHandler]:
    """The handlers, bound to one `Identity`. They need no credential: they are how one gets it."""

    @post(
        "/oauth2/token",
        name="identity.token",
        operation_id="getAccessToken",
        tags=["Identity"],
        status_code=200,
        opt={**_PUBLIC, "content_types": frozenset({"application/x-www-form-urlencoded"}), "max_body": 8_192},
        summary="Get an access token",
    )
    async def token(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Client credentials (RFC 6749 section 4.4). Errors are those of RFC 6749 section 5.2."""
        reply = await answer_token_request(identity, request.headers.get("authorization"), await request.body())
        return _json(reply.body, status=reply.status, headers=dict(reply.headers))

    @get(
        "/.well-known/oauth-authorization-server",
        name="identity.metadata",
        operation_id="readMetadata",
        tags=["Identity"],
        opt=_PUBLIC,
        summary="Authorisation server metadata",
    )
    async def metadata() -> Response[bytes]:
        """Where the endpoints are (RFC 8414)."""
        issuer = identity.options.issuer
        return _json(
            {
                "issuer": issuer,
                "token_endpoint": f"{issuer}/oauth2/token",
                "jwks_uri": f"{issuer}/.well-known/jwks.json",
                "grant_types_supported": ["client_credentials"],
                "response_types_supported": [],
                "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
                "token_endpoint_auth_signing_alg_values_supported": [ALGORITHM],
            },
            headers=_FOR_A_WHILE,
        )

    @get(
        "/.well-known/jwks.json",
        name="identity.jwks",
        operation_id="readKeySet",
        tags=["Identity"],
        opt=_PUBLIC,
        summary="Our public signing keys",
    )
    async def jwks() -> Response[bytes]:
        """The keys that verify our tokens, with the next one before it signs (RFC 7517)."""
        return _json({"keys": list(identity.trust.snapshot.keys.jwks)}, headers=_FOR_A_WHILE)

    return [token, metadata, jwks]


def _json(content: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    return Response(
        msgspec.json.encode(content), status_code=status, headers=headers or {}, media_type="application/json"
    )
