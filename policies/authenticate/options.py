"""Settings of the challenge."""

from __future__ import annotations

from msgspec import Struct


class AuthenticateOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`realm` names the protection space in `WWW-Authenticate`.

    `resource_metadata` is the address of our RFC 9728 document, `dpop_algorithms` what a proof may be signed with.
    There is no choice of what happens when the record of revocations cannot be read: 503 (`identity.trust_for`).
    """

    realm: str = "crossdock"
    resource_metadata: str | None = None
    dpop_algorithms: tuple[str, ...] = ()
