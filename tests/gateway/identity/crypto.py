"""Keys, certificates, assertions and proofs as clients make them."""

import base64
import hashlib
import os
import time
from datetime import UTC, datetime, timedelta

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from jwt.algorithms import ECAlgorithm

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def from_now(claims):
    """Claims whose times are given as timedeltas, as the seconds since the epoch that those are now."""
    now = time.time()
    return {
        name: int(now + value.total_seconds()) if isinstance(value, timedelta) else value
        for name, value in claims.items()
    }


class Key:
    """An ES256 key with its public JWK."""

    def __init__(self, kid=None):
        self.private = generate_private_key(SECP256R1())
        self.jwk = ECAlgorithm(ECAlgorithm.SHA256).to_jwk(self.private.public_key(), as_dict=True)
        self.kid = kid
        if kid is not None:
            self.jwk["kid"] = kid

    def sign(self, claims, header=None, algorithm="ES256"):
        head = {"kid": self.kid} if self.kid is not None else {}
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(claims, self.private, algorithm, headers={**head, **(header or {})})

    def assertion(self, client_id, audience="https://api.example/oauth2/token", header=None, **claims):
        now = int(time.time())
        given = {
            "iss": client_id,
            "sub": client_id,
            "aud": audience,
            "exp": now + 60,
            "iat": now,
            "jti": os.urandom(8).hex(),
        }
        return self.sign({**given, **claims}, header)

    def proof(self, method="GET", url="https://api.example/x", token=None, header=None, **claims):
        """A DPoP proof (RFC 9449 section 4.2); None removes a claim."""
        given = {"htm": method, "htu": url, "iat": int(time.time()), "jti": os.urandom(8).hex()}
        if token is not None:
            given["ath"] = encoded(hashlib.sha256(token).digest())
        public = {name: self.jwk[name] for name in ("kty", "crv", "x", "y")}
        head = {"typ": "dpop+jwt", "jwk": public, **(header or {})}
        return self.sign({**given, **claims}, head).encode()


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def certificate(name="partner.example", *, days=1, begins=-1):
    """A self-signed certificate with one DNS name."""
    key = generate_private_key(SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=begins))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, SHA256())
    )


def pem(made):
    return made.public_bytes(Encoding.PEM)


def client_cert(made):
    """The Client-Cert field of RFC 9440."""
    return b":" + base64.b64encode(made.public_bytes(Encoding.DER)) + b":"


def thumbprint(made):
    return encoded(made.fingerprint(SHA256()))
