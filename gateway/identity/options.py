"""Settings of the authorisation server and of verification."""

from __future__ import annotations

from msgspec import Struct

from gateway.kernel.errors import Misconfigured

_DAY = 86_400


class IdentityOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who we are as an issuer, and the bounds of verification. Durations are seconds.

    `issuer` is an https URL without a trailing slash (http only on loopback); `audience` is what our tokens are for,
    the issuer by default. `environment` is the visible part of an API key. A worker that has not read the
    revocation epoch for `trust_for` answers 503; it reads it every `poll_every`.
    `cold_per_second` and `lookups` bound the work that unverified credentials can cause in one worker.
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

    @property
    def accepted_audience(self) -> str:
        """The `aud` of our tokens."""
        return self.audience or self.issuer
