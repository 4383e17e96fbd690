"""The token endpoint: OAuth2 client credentials (RFC 6749 section 4.4) by Authlib.

Authlib's server is synchronous and keeps no state of ours: the client is proved first (`client_authentication.py`),
then a server object of this one request decides about grant and scopes. A token is bound to the key of a DPoP proof
(RFC 9449 section 5) and to the client certificate of the connection (RFC 8705 section 3), where there is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Request
from authlib.oauth2.rfc6749.errors import InvalidRequestError, OAuth2Error
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6749.models import ClientMixin
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from msgspec import Struct

from gateway.identity.certificates import thumbprint_of
from gateway.identity.client_authentication import Client, authenticate_client
from gateway.identity.confirmation import Confirmation
from gateway.identity.dpop import Asked
from gateway.identity.endpoint_requests import EndpointRequest, read_form
from gateway.identity.identity import Identity
from gateway.identity.options import ClientCertificates, IdentityOptions
from gateway.identity.signing_keys import SigningKey
from gateway.identity.tokens import issue_token
from gateway.kernel.errors import NotAuthenticated

TOKEN_PATH: Final = "/oauth2/token"  # noqa: S105 - a path
_PROVED: Final = "proved"


class TokenReply(Struct, frozen=True):
    """What an endpoint answers: a JSON object (None: an empty body), a status, and headers."""

    status: int
    body: Mapping[str, Any] | None
    headers: Mapping[str, str]


async def answer_token_request(
    identity: Identity,
    authorization: str | None,
    body: bytes,
    *,
    certificate: bytes | None = None,
    proof: bytes | None = None,
) -> TokenReply:
    """Issue a token, or say why not in the words of RFC 6749 section 5.2.

    `authorization` is the Authorization header, `body` the form, `certificate` the Client-Cert of a trusted peer,
    `proof` the DPoP header. Raises `Unavailable` when the record is down.
    """
    try:
        request = EndpointRequest(
            path=TOKEN_PATH, form=read_form(body), authorization=authorization, certificate=certificate, proof=proof
        )
        if not request.form.get("grant_type"):
            raise InvalidRequestError("grant_type is missing: send grant_type=client_credentials.")
        client = await authenticate_client(identity, request)
    except OAuth2Error as error:
        return refusal(error)
    try:
        confirmation = await _confirmation(identity, request)
    except NotAuthenticated as error:
        return _refused_proof(error)
    server = _TokenServer(client, identity.trust.snapshot.keys.current, identity.options, confirmation)
    reply: TokenReply = server.create_token_response(_Request(identity.options, request.form))
    return reply


async def _confirmation(identity: Identity, request: EndpointRequest) -> Confirmation | None:
    jkt = x5t = None
    if request.proof is not None:
        address = identity.options.issuer + TOKEN_PATH
        urls = identity.options.urls_of(TOKEN_PATH) | {address}
        jkt = (await identity.proofs.check(request.proof, Asked("POST", urls))).jkt
    if request.certificate is not None and identity.options.client_certificates is not ClientCertificates.IGNORED:
        x5t = thumbprint_of(request.certificate)
    return Confirmation(jkt, x5t) if jkt or x5t else None


class _AuthlibClient(ClientMixin):  # type: ignore[misc]  # Authlib has no types
    """A proved client as Authlib asks for it."""

    def __init__(self, client: Client) -> None:
        self.proved = client

    def get_client_id(self) -> str:
        return self.proved.client_id

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """All of its scopes when it asks for none; None, which refuses, when it asks for one it does not have."""
        wanted = frozenset(scope.split()) if scope else self.proved.scopes
        return " ".join(sorted(wanted)) if wanted <= self.proved.scopes else None

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return endpoint == "token" and method == _PROVED

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "client_credentials"


class _ClientCredentials(ClientCredentialsGrant):  # type: ignore[misc]  # Authlib has no types
    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar[list[str]] = [_PROVED]


class _TokenServer(AuthorizationServer):  # type: ignore[misc]  # Authlib has no types
    """Authlib's server for the one client that has proved itself."""

    def __init__(
        self, client: Client, key: SigningKey, options: IdentityOptions, confirmation: Confirmation | None
    ) -> None:
        super().__init__()
        proved = _AuthlibClient(client)
        self._bound_to_key = confirmation is not None and confirmation.jkt is not None
        self.register_client_auth_method(_PROVED, lambda _query, _request: proved)
        self.register_grant(_ClientCredentials)

        def sign(*, scope: str, **_: object) -> str:
            return issue_token(
                key, options, client.grant, client_id=client.client_id, scope=scope, confirmation=confirmation
            )

        generator = BearerTokenGenerator(sign, expires_generator=options.token_lifetime)
        self.register_token_generator("default", generator)

    def query_client(self, _client_id: str) -> None:
        """Nobody asks: the client is proved before."""

    def save_token(self, token: object, request: object) -> None:
        """Access tokens are not kept: they are revoked by generation or id."""

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Nobody listens to Authlib's signals here."""

    def create_oauth2_request(self, request: OAuth2Request) -> OAuth2Request:
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> TokenReply:
        if self._bound_to_key and isinstance(body, Mapping) and "token_type" in body:
            body = {**body, "token_type": "DPoP"}  # RFC 9449 section 5
        return reply_of(status, body, headers)


class _Request(OAuth2Request):  # type: ignore[misc]  # Authlib has no types
    def __init__(self, options: IdentityOptions, form: Mapping[str, str]) -> None:
        # Whether the wire was encrypted is the business of what terminates TLS, and Authlib insists on https.
        super().__init__("POST", f"https://{options.issuer.partition('://')[2]}{TOKEN_PATH}", headers={})
        self.payload = BasicOAuth2Payload(form)
        self._form = form

    @property
    def form(self) -> Mapping[str, str]:
        return self._form


def refusal(error: OAuth2Error) -> TokenReply:
    """One of Authlib's errors as an answer (RFC 6749 section 5.2)."""
    return reply_of(*error())


def reply_of(status: int, body: Any, headers: Any) -> TokenReply:
    """An answer that is not kept by caches; a client that is not known is not told why."""
    if isinstance(body, Mapping) and body.get("error") == "invalid_client":
        # One answer for unknown, disabled and wrong: which client ids exist is nobody's business.
        body = {"error": "invalid_client", "error_description": "Unknown client or wrong credential."}
        status = 401
    kept = {name.lower(): value for name, value in headers if name.lower() != "content-type"}
    if status == 401:  # noqa: PLR2004 - the HTTP status itself
        kept["www-authenticate"] = 'Basic realm="crossdock"'
    kept["cache-control"] = "no-store"
    return TokenReply(status, body if isinstance(body, Mapping) else dict(body), kept)


def _refused_proof(error: NotAuthenticated) -> TokenReply:
    """RFC 9449 section 5 and 8."""
    headers = {"cache-control": "no-store"}
    word = "invalid_dpop_proof"
    if "dpop_nonce" in error.context:
        word, headers["dpop-nonce"] = "use_dpop_nonce", str(error.context["dpop_nonce"])
    return TokenReply(400, {"error": word, "error_description": error.detail}, headers)
