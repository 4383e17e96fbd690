"""The authorisation server's routes: token, introspection and revocation, metadata, and our key set (RFC 7517)."""

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler

from gateway.identity.authorization_server import TOKEN_PATH, TokenReply, answer_token_request
from gateway.identity.certificates import forwarded_certificate
from gateway.identity.identity import Identity
from gateway.identity.metadata import KEY_SET, RESOURCE_METADATA, SERVER_METADATA, resource_metadata, server_metadata
from gateway.identity.token_status import INTROSPECTION_PATH, REVOCATION_PATH, introspect, revoke
from gateway.kernel.exchange import SCOPE_KEY

_PUBLIC: dict[str, Any] = {"zone": None, "api": "identity", "version": "v1"}
_FORM: dict[str, Any] = {
    **_PUBLIC,
    "content_types": frozenset({"application/x-www-form-urlencoded"}),
    "max_body": 16_384,
}
_FOR_A_WHILE = {"cache-control": "public, max-age=300"}


def make_routes(identity: Identity, scopes: frozenset[str] = frozenset()) -> list[HTTPRouteHandler]:
    """The handlers, bound to one `Identity`. `scopes` are those that the APIs ask for, for their metadata."""
    return [*_endpoints(identity), *_documents(identity, scopes)]


def _endpoints(identity: Identity) -> list[HTTPRouteHandler]:
    """A client authenticates at each of them by itself: the door asks for no credential."""

    @post(
        TOKEN_PATH, name="identity.token", operation_id="getAccessToken", tags=["Identity"], status_code=200,
        opt=_FORM, summary="Get an access token",
    )  # fmt: skip
    async def token(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Client credentials (RFC 6749 section 4.4). Errors are those of RFC 6749 section 5.2."""
        proof = request.headers.get("dpop")
        return _told(
            await answer_token_request(
                identity,
                request.headers.get("authorization"),
                await request.body(),
                certificate=_certificate(request),
                proof=proof.encode("latin-1") if proof is not None else None,
            )
        )

    @post(
        INTROSPECTION_PATH, name="identity.introspect", operation_id="introspectToken", tags=["Identity"],
        status_code=200, opt=_FORM, summary="Ask whether an access token is active",
    )  # fmt: skip
    async def introspection(request: Request[Any, Any, Any]) -> Response[bytes]:
        """RFC 7662. A token that is not the caller's to ask about is not active."""
        authorization, body = request.headers.get("authorization"), await request.body()
        return _told(await introspect(identity, authorization, body, certificate=_certificate(request)))

    @post(
        REVOCATION_PATH, name="identity.revoke", operation_id="revokeToken", tags=["Identity"],
        status_code=200, opt=_FORM, summary="Revoke an access token",
    )  # fmt: skip
    async def revocation(request: Request[Any, Any, Any]) -> Response[bytes]:
        """RFC 7009. Refused everywhere within five seconds."""
        authorization, body = request.headers.get("authorization"), await request.body()
        return _told(await revoke(identity, authorization, body, certificate=_certificate(request)))

    return [token, introspection, revocation]


def _documents(identity: Identity, scopes: frozenset[str]) -> list[HTTPRouteHandler]:
    @get(
        SERVER_METADATA, name="identity.metadata", operation_id="readMetadata", tags=["Identity"], opt=_PUBLIC,
        summary="Authorisation server metadata",
    )  # fmt: skip
    async def metadata() -> Response[bytes]:
        """Where the endpoints are and what they take (RFC 8414)."""
        return _json(server_metadata(identity.options), headers=_FOR_A_WHILE)

    @get(
        RESOURCE_METADATA, name="identity.resource", operation_id="readResourceMetadata", tags=["Identity"],
        opt=_PUBLIC, summary="Protected resource metadata",
    )  # fmt: skip
    async def resource() -> Response[bytes]:
        """Whose tokens the APIs take, and how (RFC 9728)."""
        return _json(resource_metadata(identity.options, scopes), headers=_FOR_A_WHILE)

    @get(
        KEY_SET, name="identity.jwks", operation_id="readKeySet", tags=["Identity"], opt=_PUBLIC,
        summary="Our public signing keys",
    )  # fmt: skip
    async def jwks() -> Response[bytes]:
        """The keys that verify our tokens, with the next one before it signs (RFC 7517)."""
        return _json({"keys": list(identity.trust.snapshot.keys.jwks)}, headers=_FOR_A_WHILE)

    return [metadata, resource, jwks]


def _certificate(request: Request[Any, Any, Any]) -> bytes | None:
    scope: Mapping[str, Any] = request.scope
    return forwarded_certificate(scope[SCOPE_KEY].notes)


def _told(reply: TokenReply) -> Response[bytes]:
    if reply.body is None:
        return Response(b"", status_code=reply.status, headers=dict(reply.headers), media_type="application/json")
    return _json(reply.body, status=reply.status, headers=dict(reply.headers))


def _json(content: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    return Response(
        msgspec.json.encode(content), status_code=status, headers=headers or {}, media_type="application/json"
    )
