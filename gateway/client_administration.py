"""What the command does about clients: what they may do, and the keys and certificates that stand for a secret.

Each function returns the command's exit status. The process API `partner-accounts` does the same for programs.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from gateway.app import administer
from gateway.identity.client_proofs import register_client_certificates, register_client_keys
from gateway.identity.clients import change_scopes
from gateway.kernel.errors import Misconfigured
from gateway.scoping import check_scopes
from gateway.settings import Settings


def register_keys(settings: Settings, client_id: str, file: Path, *, keep_secrets: bool, as_json: bool) -> int:
    """Register the public keys of a JWK set (or of one JWK) for `private_key_jwt`, in place of those before."""
    try:
        given = msgspec.json.decode(_read(file))
    except msgspec.DecodeError as error:
        raise Misconfigured(f"{file} is not JSON: give a JWK set, {{'keys': […]}}, or one JWK") from error
    jwks = given if isinstance(given, dict) and "keys" in given else {"keys": [given]}
    kids = asyncio.run(
        administer(
            settings,
            lambda connection, _: register_client_keys(
                connection, tenant=settings.tenant, client_id=client_id, jwks=jwks, keep_secrets=keep_secrets
            ),
        )
    )
    told = {"client_id": client_id, "kids": kids, "secrets_kept": keep_secrets}
    return _tell(told, f"{client_id} proves itself with {', '.join(kids)}{_rest(keep_secrets)}", as_json)


def register_certificates(
    settings: Settings,
    client_id: str,
    names: Sequence[str],
    files: Sequence[Path],
    *,
    keep_secrets: bool,
    as_json: bool,
) -> int:
    """Register names in verified certificates, or certificates one by one (PEM), in place of those before."""
    certificates = [_read(file) for file in files]
    asyncio.run(
        administer(
            settings,
            lambda connection, _: register_client_certificates(
                connection,
                tenant=settings.tenant,
                client_id=client_id,
                names=names,
                certificates=certificates,
                keep_secrets=keep_secrets,
            ),
        )
    )
    told = {"client_id": client_id, "names": list(names), "certificates": len(files), "secrets_kept": keep_secrets}
    return _tell(told, f"{client_id} proves itself with its certificate{_rest(keep_secrets)}", as_json)


def set_scopes(settings: Settings, client_id: str, scopes: Sequence[str], *, as_json: bool) -> int:
    """Replace what a client may do; the tokens that it has are revoked."""
    check_scopes(settings, scopes, layers={"experience", "process", "system"})
    asyncio.run(
        administer(
            settings,
            lambda connection, _: change_scopes(connection, tenant=settings.tenant, client_id=client_id, scopes=scopes),
        )
    )
    told = {"client_id": client_id, "scopes": sorted(set(scopes))}
    return _tell(told, f"{client_id} may {' '.join(told['scopes'])}; the tokens that it had are revoked", as_json)


def _rest(keep_secrets: bool) -> str:
    return "; its secrets still hold" if keep_secrets else "; its secrets ended"


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Misconfigured(f"cannot read {file}: {error.strerror}") from error


def _tell(told: dict[str, Any], text: str, as_json: bool) -> int:
    sys.stdout.write((msgspec.json.encode(told).decode() if as_json else text) + "\n")
    return 0
