"""What a token is bound to (`cnf`, RFC 7800): a key proved by DPoP (RFC 9449) or a client certificate (RFC 8705)."""

from __future__ import annotations

from msgspec import Struct

from gateway.kernel.errors import NotAuthenticated

_JKT = "jkt"
_X5T = "x5t#S256"


class Confirmation(Struct, frozen=True):
    """`jkt`: thumbprint of the DPoP key; `x5t`: thumbprint of the certificate. Where both are set, both are asked."""

    jkt: str | None = None
    x5t: str | None = None

    def claim(self) -> dict[str, str]:
        """The `cnf` claim."""
        return {name: value for name, value in ((_JKT, self.jkt), (_X5T, self.x5t)) if value is not None}


def confirmation_of(claim: object) -> Confirmation:
    """The binding in a verified `cnf` claim. A way of binding that we do not know is refused, not ignored."""
    known = isinstance(claim, dict) and claim.keys() <= {_JKT, _X5T} and claim
    if not known or not isinstance(claim, dict) or not all(isinstance(value, str) for value in claim.values()):
        raise NotAuthenticated("the access token is bound in a way that is not known here", code="token.confirmation")
    return Confirmation(claim.get(_JKT), claim.get(_X5T))
