"""Signing people in at an OpenID provider: OpenID Connect Core 1.0 section 3.1, PKCE (RFC 7636), issuer (RFC 9207).

Nothing is kept between the two halves: a browser's one random secret, in a cookie of its own, makes state, nonce and
code verifier, so an answer that another browser asked for fits nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import secrets
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc.errors import JoseError

from gateway.identity.console_users import OutsidePerson
from gateway.identity.issuer_keys import IssuerKeys
from gateway.identity.openid_options import OpenIdOptions
from gateway.identity.openid_provider import Provider
from gateway.identity.tokens import checked_kid, read_claims, read_header
from gateway.kernel.clock import Clock
from gateway.kernel.errors import CrossdockError, NotAllowed, NotAuthenticated, Unavailable
from gateway.kernel.secrets import Secret
from gateway.outbound.door import Outbound

_logger = logging.getLogger(__name__)
HANDSHAKE_S: Final = 600
_LEEWAY: Final = 30
_LONGEST: Final = 4_000
_TYPES: Final = ("jwt", "id_token+jwt")
_REQUIRED: Final = ["iss", "sub", "aud", "exp", "iat"]


class Handshake:
    """What one browser's secret makes. Each part tells nothing about the others."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self.state = self._part("state")
        self.nonce = self._part("nonce")
        self.verifier = self._part("verifier")

    def _part(self, name: str) -> str:
        digest = hmac.digest(self._secret, name.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


class OpenIdSignIn:
    """One provider, and our client there.

    `redirect_uri` is where it sends people back, `signed_out_uri` where it sends them when they have signed out there.
    """

    def __init__(
        self,
        options: OpenIdOptions,
        secret: Secret | None,
        redirect_uri: str,
        *,
        outbound: Outbound,
        clock: Clock,
        signed_out_uri: str | None = None,
    ) -> None:
        self.name = options.name
        self._options = options
        self._secret = secret
        self._redirect_uri = redirect_uri
        self._signed_out_uri = signed_out_uri
        self._provider = Provider(options, outbound, clock)
        self._keys = IssuerKeys(options, outbound, clock)
        self._now = clock.now

    async def close(self) -> None:
        """Stop a fetch under way."""
        await self._keys.close()

    async def begin(self) -> tuple[str, str]:
        """Where to send the browser, and the secret that its cookie must bring back. Raises `Unavailable`."""
        metadata = await self._provider.metadata()
        secret = f"{int(self._now().timestamp())}.{secrets.token_urlsafe(32)}"
        handshake = Handshake(secret)
        asked = {
            "response_type": "code",
            "client_id": self._options.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": " ".join(self._options.scopes),
            "state": handshake.state,
            "nonce": handshake.nonce,
            "code_challenge": create_s256_code_challenge(handshake.verifier),
            "code_challenge_method": "S256",
        }
        url: str = add_params_to_uri(metadata.authorization_endpoint, list(asked.items()))
        return url, secret

    async def finish(self, secret: str | None, answer: Mapping[str, str]) -> OutsidePerson:
        """Who came back with `answer` (the query of the redirect).

        Raises `NotAuthenticated` for an answer that was not asked for by this browser or does not hold, `NotAllowed`
        for a person without a role, `Unavailable` while the provider does not answer.
        """
        handshake = self._handshake(secret, answer.get("state", ""))
        metadata = await self._provider.metadata()
        named = answer.get("iss")
        if (named is None and metadata.names_itself) or named not in (None, self._options.issuer):
            raise _unbelieved("the answer is from another issuer")
        if "error" in answer or not answer.get("code"):
            _logger.warning("the OpenID provider refused a sign-in: %r", answer.get("error", "")[:100])
            raise NotAuthenticated(f"{self.name} did not sign you in: try again", code="console.provider_refused")
        tokens = await self._provider.tokens(*self._exchange(answer["code"][:_LONGEST], handshake))
        claims = await self._verified(tokens, handshake)
        wanted = (self._options.roles_claim, self._options.name_claim)
        if any(name not in claims for name in wanted) and metadata.userinfo_endpoint:
            told = await self._provider.userinfo(str(tokens.get("access_token", "")))
            if told.get("sub") != claims["sub"]:
                raise _unbelieved("userinfo is about somebody else")
            claims = {**told, **claims}
        return self._person(claims)

    async def sign_out(self) -> str | None:
        """Where to send the browser for its session at the provider to end (RP-Initiated Logout 1.0, section 2).

        None where the provider has no such place, does not answer, or is not to be asked. Our client's id stands in the
        place of an ID token, which we do not keep; a provider then asks the person first.
        """
        if not self._options.end_session or self._signed_out_uri is None:
            return None
        try:
            place = (await self._provider.metadata()).end_session_endpoint
        except Unavailable:
            return None
        asked = {"client_id": self._options.client_id, "post_logout_redirect_uri": self._signed_out_uri}
        return None if place is None else str(add_params_to_uri(place, list(asked.items())))

    def _handshake(self, secret: str | None, state: str) -> Handshake:
        begun, _, rest = (secret or "").partition(".")
        young = begun.isascii() and begun.isdigit() and int(begun[:12]) > self._now().timestamp() - HANDSHAKE_S
        if not rest or not young:
            raise NotAuthenticated("this sign-in took too long or began elsewhere: try again", code="console.state")
        handshake = Handshake(secret or "")
        if not hmac.compare_digest(handshake.state.encode(), state.encode("utf-8", "replace")):
            raise NotAuthenticated("this sign-in was not begun in this browser: try again", code="console.state")
        return handshake

    def _exchange(self, code: str, handshake: Handshake) -> tuple[str, dict[str, str]]:
        """Body and headers of the token request (RFC 6749 section 2.3.1 for the client's own credentials)."""
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": handshake.verifier,
        }
        headers = {}
        client_id, secret = self._options.client_id, None if self._secret is None else self._secret.reveal()
        if secret is None or self._options.client_authentication == "post":
            fields["client_id"] = client_id
            if secret is not None:
                fields["client_secret"] = secret
        else:
            pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        return urlencode(fields), headers

    async def _verified(self, tokens: Mapping[str, Any], handshake: Handshake) -> Mapping[str, Any]:
        token = str(tokens.get("id_token", "")).encode()
        try:
            header = read_header(token)
            kid = checked_kid({"typ": "JWT", **header}, algorithms=self._options.algorithms, types=_TYPES)
            algorithm: str = header["alg"]
            key = (await self._keys.find(kid)).by_algorithm.get(algorithm)
            if key is None:
                raise _unbelieved("its key is not for its algorithm")
            claims = read_claims(
                token,
                key,
                algorithm,
                audience=self._options.client_id,
                issuer=self._options.issuer,
                leeway=_LEEWAY,
                required=_REQUIRED,
            )
            expected = {
                "nonce": handshake.nonce,
                "client_id": self._options.client_id,
                "access_token": tokens.get("access_token"),
            }
            CodeIDToken(claims, header, params=expected).validate(leeway=_LEEWAY)
        except Unavailable as error:
            raise Unavailable(f"{self.name} does not answer: try again soon", code="console.provider_down") from error
        except (CrossdockError, JoseError) as error:
            raise _unbelieved(str(error)) from None
        return claims

    def _person(self, claims: Mapping[str, Any]) -> OutsidePerson:
        roles = self._options.roles_of(claims.get(self._options.roles_claim))
        name = self._options.name_of(claims)
        if not roles:
            raise NotAllowed(
                f"{name} has no role here: ask for a group that console.openid.roles of the settings names",
                code="console.no_role",
            )
        return OutsidePerson(issuer=self._options.issuer, subject=str(claims["sub"]), name=name, roles=roles)


def _unbelieved(reason: str) -> NotAuthenticated:
    _logger.warning("an answer of the OpenID provider was not believed: %s", reason)
    return NotAuthenticated("the provider's answer does not hold: sign in again", code="console.provider_answer")
