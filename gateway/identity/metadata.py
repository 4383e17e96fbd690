"""What our authorisation server (RFC 8414) and the APIs behind the door (RFC 9728) say about themselves."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from gateway.identity.assertions import ASSERTION_ALGORITHMS
from gateway.identity.authorization_server import TOKEN_PATH
from gateway.identity.client_authentication import methods_of
from gateway.identity.dpop import ALGORITHMS as DPOP_ALGORITHMS
from gateway.identity.options import ClientCertificates, IdentityOptions
from gateway.identity.token_status import INTROSPECTION_PATH, REVOCATION_PATH

SERVER_METADATA: Final = "/.well-known/oauth-authorization-server"
RESOURCE_METADATA: Final = "/.well-known/oauth-protected-resource"
KEY_SET: Final = "/.well-known/jwks.json"


def server_metadata(options: IdentityOptions) -> dict[str, Any]:
    """RFC 8414 section 2, with the members of RFC 8705 section 3.3 and RFC 9449 section 5.1."""
    issuer, methods, signed = options.issuer, methods_of(options), list(ASSERTION_ALGORITHMS)
    return {
        "issuer": issuer,
        "token_endpoint": f"{issuer}{TOKEN_PATH}",
        "jwks_uri": f"{issuer}{KEY_SET}",
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": signed,
        "introspection_endpoint": f"{issuer}{INTROSPECTION_PATH}",
        "introspection_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_signing_alg_values_supported": signed,
        "revocation_endpoint": f"{issuer}{REVOCATION_PATH}",
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": signed,
        "dpop_signing_alg_values_supported": list(DPOP_ALGORITHMS),
        "tls_client_certificate_bound_access_tokens": _bound_to_certificates(options),
        "protected_resources": [options.accepted_audience],
    }


def resource_metadata(options: IdentityOptions, scopes: Collection[str]) -> dict[str, Any]:
    """RFC 9728 section 2. `scopes` are all that any operation asks for."""
    return {
        "resource": options.accepted_audience,
        "authorization_servers": [options.issuer, *(issuer.issuer for issuer in options.issuers)],
        "bearer_methods_supported": ["header"],
        "scopes_supported": sorted(scopes),
        "dpop_signing_alg_values_supported": list(DPOP_ALGORITHMS),
        "dpop_bound_access_tokens_required": False,
        "tls_client_certificate_bound_access_tokens": _bound_to_certificates(options),
    }


def _bound_to_certificates(options: IdentityOptions) -> bool:
    return options.client_certificates is not ClientCertificates.IGNORED
