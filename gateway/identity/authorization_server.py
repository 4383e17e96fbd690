"""The token endpoint: OAuth2 client credentials (RFC 6749 section 4.4) by Authlib.

Authlib's server is synchronous and keeps no state of ours: the client is read from the record first, then a server
object of this one request decides. A client proves itself with `client_secret_basic` or `client_secret_post`;
`private_key_jwt` is registered in `_TokenServer.__init__` when it comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Request
from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidRequestError, OAuth2Error
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6749.models import ClientMixin
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6749.util import extract_basic_authorization
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from msgspec import Struct

from gateway.identity.credentials import CLIENT_SECRET
from gateway.identity.grants import Grant, grant_of
from gateway.identity.identity import Identity
from gateway.identity.options import IdentityOptions
from gateway.identity.signing_keys import SigningKey
from gateway.identity.tokens import issue_token
from gateway.kernel.keyring import KeyRing
from gateway.store.queries import queries_beside

AUTH_METHODS: Final = ("client_secret_basic", "client_secret_post")
_MAX_FORM: Final = 8_192
_MAX_FIELDS: Final = 20
_sql = queries_beside(__file__)


class TokenReply(Struct, frozen=True):
    """What the endpoint answers: a JSON object, a status, and headers."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str]


async def answer_token_request(identity: Identity, authorization: str | None, body: bytes) -> TokenReply:
    """Issue a token, or say why not in the words of RFC 6749 section 5.2.

    `authorization` is the Authorization header, `body` the form. Raises `Unavailable` when the record is down.
    """
    try:
        request = _read_request(identity.options, authorization, body)
        presented = _presented_client_id(request)
    except OAuth2Error as error:
        return _reply(*error())
    row = await identity.store.fetchrow(_sql.find_client, presented) if presented else None
    client = _Client(row, identity.ring) if row is not None else None
    server = _TokenServer(client, identity.trust.snapshot.keys.current, identity.options)
    reply: TokenReply = server.create_token_response(request)
    return reply


class _Client(ClientMixin):  # type: ignore[misc]  # Authlib has no types
    """A client as Authlib asks for it."""

    def __init__(self, row: Mapping[str, Any], ring: KeyRing) -> None:
        self.client_id: str = row["client_id"]
        self.grant: Grant = grant_of(row)
        self._scopes = frozenset(row["scopes"])
        self._digests = tuple(zip(row["digests"], row["pepper_versions"], strict=True))
        self._ring = ring

    def get_client_id(self) -> str:
        return self.client_id

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """All of its scopes when it asks for none; None, which refuses, when it asks for one it does not have."""
        wanted = frozenset(scope.split()) if scope else self._scopes
        return " ".join(sorted(wanted)) if wanted <= self._scopes else None

    def check_client_secret(self, client_secret: str) -> bool:
        secret = client_secret.encode()
        # No short circuit: the time taken does not tell which of two live secrets was meant.
        verdicts = [
            self._ring.matches(CLIENT_SECRET, secret, digest, version=version) for digest, version in self._digests
        ]
        return any(verdicts)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return endpoint == "token" and method in AUTH_METHODS

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "client_credentials"


class _ClientCredentials(ClientCredentialsGrant):  # type: ignore[misc]  # Authlib has no types
    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar[list[str]] = list(AUTH_METHODS)


class _TokenServer(AuthorizationServer):  # type: ignore[misc]  # Authlib has no types
    """Authlib's server for the one client that this request names."""

    def __init__(self, client: _Client | None, key: SigningKey, options: IdentityOptions) -> None:
        super().__init__()
        self._client = client
        self.register_grant(_ClientCredentials)

        def sign(*, client: _Client, scope: str, **_: object) -> str:
            return issue_token(key, options, client.grant, client_id=client.client_id, scope=scope)

        generator = BearerTokenGenerator(sign, expires_generator=options.token_lifetime)
        self.register_token_generator("default", generator)

    def query_client(self, client_id: str) -> _Client | None:
        client = self._client
        return client if client is not None and client.client_id == client_id else None

    def save_token(self, token: object, request: object) -> None:
        """Access tokens are not kept: they are revoked by generation or id."""

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Nobody listens to Authlib's signals here."""

    def create_oauth2_request(self, request: OAuth2Request) -> OAuth2Request:
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> TokenReply:
        return _reply(status, body, headers)


class _Request(OAuth2Request):  # type: ignore[misc]  # Authlib has no types
    def __init__(self, uri: str, headers: Mapping[str, str], form: Mapping[str, str]) -> None:
        super().__init__("POST", uri, headers=headers)
        self.payload = BasicOAuth2Payload(form)
        self._form = form

    @property
    def form(self) -> Mapping[str, str]:
        return self._form


def _read_request(options: IdentityOptions, authorization: str | None, body: bytes) -> _Request:
    form = _read_form(body)
    if authorization is not None and "client_secret" in form:
        raise InvalidRequestError("Authenticate once: with HTTP Basic or with client_secret in the form.")
    if not form.get("grant_type"):
        raise InvalidRequestError("grant_type is missing: send grant_type=client_credentials.")
    headers = {"Authorization": authorization} if authorization is not None else {}
    # Whether the wire was encrypted is the business of what terminates TLS, and Authlib insists on https.
    return _Request(f"https://{options.issuer.partition('://')[2]}/oauth2/token", headers, form)


def _read_form(body: bytes) -> dict[str, str]:
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


def _presented_client_id(request: _Request) -> str | None:
    try:
        basic, _ = extract_basic_authorization(request.headers)
    except ValueError:
        raise InvalidClientError("The Basic credentials are not UTF-8.", status_code=401) from None
    if basic is not None and "\x00" in basic:
        raise InvalidClientError("The client id holds a NUL.", status_code=401)
    presented: str | None = basic or request.form.get("client_id")
    return presented


def _reply(status: int, body: Any, headers: Any) -> TokenReply:
    if isinstance(body, Mapping) and body.get("error") == "invalid_client":
        # One answer for unknown, disabled and wrong: which client ids exist is nobody's business.
        body = {"error": "invalid_client", "error_description": "Unknown client or wrong secret."}
        status = 401
    kept = {name.lower(): value for name, value in headers if name.lower() != "content-type"}
    if status == 401:  # noqa: PLR2004 - the HTTP status itself
        kept["www-authenticate"] = 'Basic realm="crossdock"'
    kept["cache-control"] = "no-store"
    return TokenReply(status, body if isinstance(body, Mapping) else dict(body), kept)
