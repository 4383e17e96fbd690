"""Which header fields are kept, dropped or allowed once only."""

from __future__ import annotations

from typing import Final

KEEP: Final = 0
ONCE: Final = 1
DROP: Final = 2
FORWARDING: Final = 3

_ONCE: Final = frozenset(
    b"authorization content-encoding content-length content-type date dpop expect from host idempotency-key if-match "
    b"if-modified-since if-none-match if-range if-unmodified-since max-forwards origin proxy-authorization range "
    b"referer traceparent user-agent x-api-key api-version x-correlation-id webhook-id webhook-timestamp".split()
)
_FORWARDING: Final = frozenset(b"forwarded x-forwarded-for x-forwarded-host x-forwarded-proto client-cert".split())
_DROP: Final = frozenset(
    b"baggage client-cert-chain connection forwarded-for keep-alive proxy-authenticate proxy-connection te trailer "
    b"true-client-ip upgrade x-client-ip x-cluster-client-ip x-cluster-client-address x-forwarded x-forwarded-port "
    b"x-forwarded-prefix x-forwarded-server x-forwarded-user x-http-method x-http-method-override x-method-override "
    b"x-original-host x-original-method x-original-uri x-original-url x-real-ip x-remote-user x-request-id "
    b"x-rewrite-url x-ssl-client-cert x-user x-username remote-user".split()
)
_DROP_PREFIXES: Final = (
    b"x-auth-",
    b"x-authenticated-",
    b"x-consumer-",
    b"x-credential-",
    b"x-crossdock-",
    b"x-forwarded-client-",
    b"x-identity-",
    b"x-original-",
    b"x-remote-",
    b"x-user-",
)


def kind_of(name: bytes) -> int:
    """What becomes of a field. Names with an underscore or a dot alias ours in other servers and are dropped."""
    if name in _ONCE:
        return ONCE
    if name in _FORWARDING:
        return FORWARDING
    if name in _DROP or name.startswith(_DROP_PREFIXES) or b"_" in name or b"." in name:
        return DROP
    return KEEP
