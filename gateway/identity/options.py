"""Settings of the authorisation server and of verification."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from gateway.identity.addresses import normal_url
from gateway.identity.federated_issuer import FederatedIssuer
from gateway.kernel.errors import Misconfigured

_DAY = 86_400
_LONGEST_WINDOW = 300


class ClientCertificates(StrEnum):
    """What a ``Client-Cert`` of a trusted peer proves.

    `ignored`: nothing. `verified`: the proxy passes on only certificates whose chain it has verified, so their names
    count. `any`: the proxy passes on self-signed ones too, so only certificates registered one by one count.
    """

    IGNORED = "ignored"
    VERIFIED = "verified"
    ANY = "any"


class IdentityOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who we are as an issuer, and the bounds of verification. Durations are seconds.

    `issuer` is an https URL without a trailing slash (http only on loopback); `audience` is what our tokens are for,
    the issuer by default. `environment` is the visible part of an API key. A worker that has not read the
    revocation epoch for `trust_for` answers 503; it reads it every `poll_every`.
    `cold_per_second` and `lookups` bound the work that unverified credentials can cause in one worker.
    `public_urls` are the addresses that a DPoP proof may name, the issuer's by default; its `iat` may be `dpop_window`
    away, and with `dpop_nonces` it must carry a nonce of ours. `client_certificates`: `ignored`, `verified` (the proxy
    passes on only what it has verified) or `any`.
    """

    issuer: str = "http://127.0.0.1:8080"
    audience: str | None = None
    environment: str = "live"
    token_lifetime: int = 600
    leeway: int = 5
    rotate_keys_after: int = 30 * _DAY
    poll_every: float = 2.0
    trust_for: float = 5.0
    cache_for: float = 60.0
    cache_size: int = 10_000
    cold_per_second: int = 2_000
    lookups: int = 64
    public_urls: tuple[str, ...] = ()
    dpop_window: int = 60
    dpop_nonces: bool = False
    client_certificates: ClientCertificates = ClientCertificates.IGNORED
    issuers: tuple[FederatedIssuer, ...] = ()

    def __post_init__(self) -> None:
        loopback = self.issuer.startswith(("http://127.0.0.1", "http://localhost", "http://[::1]"))
        if not (self.issuer.startswith("https://") or loopback) or self.issuer.endswith("/"):
            raise Misconfigured("identity.issuer must be an https URL without a trailing slash")
        if not self.environment.isalnum() or not self.environment.islower():
            raise Misconfigured("identity.environment must be lower-case letters and digits, such as live or sandbox")
        if not 60 <= self.token_lifetime <= _DAY // 2:  # noqa: PLR2004 - the bounds are said in the message
            raise Misconfigured("identity.token_lifetime must be between 60 seconds and 12 hours")
        if not self.poll_every < self.trust_for:
            raise Misconfigured("identity.trust_for must be longer than identity.poll_every")
        if not 1 <= self.dpop_window <= _LONGEST_WINDOW:
            raise Misconfigured(f"identity.dpop_window must be between 1 and {_LONGEST_WINDOW} seconds")
        if not all(normal_url(url) for url in self.public_urls):
            raise Misconfigured("identity.public_urls must be https URLs without user, query or fragment")
        self._refuse_ambiguous_issuers()

    def _refuse_ambiguous_issuers(self) -> None:
        issuers = [self.issuer, *(issuer.issuer for issuer in self.issuers)]
        names = [issuer.name for issuer in self.issuers]
        if len(set(issuers)) != len(issuers) or len(set(names)) != len(names):
            raise Misconfigured("identity.issuers: each issuer and each name once, and none of them ourselves")

    @property
    def accepted_audience(self) -> str:
        """The `aud` of our tokens."""
        return self.audience or self.issuer

    def urls_of(self, path: str) -> frozenset[str]:
        """The addresses under which a canonical path is reached, as DPoP proofs may name it."""
        return frozenset(normal_url(f"{url.rstrip('/')}{path}") for url in self.public_urls or (self.issuer,))
