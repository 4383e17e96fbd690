"""Other proxies, started before one tiny upstream with the same checks: RS256 tokens and a limit per client.

``make bench-peers`` installs them; their configurations are in ``peers/``.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from benchmarks.edge.site import cores
from benchmarks.processes import ROOT, free_port, running

HERE: Final = Path(__file__).parent / "peers"
INSTALLED: Final = ROOT / ".crossdock" / "peers"
ENOUGH: Final = 100_000_000
_FEW: Final = 5


@dataclass(frozen=True)
class Checks:
    """What every proxy checks: the key of the tokens, their issuer (also their audience), requests a minute."""

    pem: Path
    jwks: Path
    issuer: str
    limit: int = ENOUGH


@dataclass(frozen=True)
class Peer:
    """A proxy: its version's command, and the command that serves on a port; a name may be given when it is missing."""

    version: Sequence[str]
    command: Callable[[dict[str, Any], Path], list[str]]
    needs: Sequence[Path]

    def missing(self) -> str | None:
        """Why it cannot be measured, or None when it can."""
        gone = [str(path) for path in self.needs if not path.exists()]
        return f"not installed ({', '.join(gone)} is missing): make bench-peers installs it" if gone else None


def _written(name: str) -> Callable[[dict[str, Any], Path], Path]:
    def write(values: dict[str, Any], folder: Path) -> Path:
        text = (HERE / name).read_text(encoding="utf-8")
        for key, value in values.items():
            text = text.replace(f"@{key.upper()}@", str(value))
        path = folder / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def _found(name: str) -> Path:
    return Path(shutil.which(name) or f"/usr/sbin/{name}")


_NODE, _HAPROXY, _NGINX = _found("node"), _found("haproxy"), _found("nginx")
_ENVOY = next(INSTALLED.glob("envoy/lib/*/site-packages/envoy/_bin/envoy"), INSTALLED / "envoy")
_FASTIFY = INSTALLED / "fastify" / "node_modules"

PEERS: Final = {
    "haproxy": Peer(
        [str(_HAPROXY), "-v"],
        lambda values, folder: [str(_HAPROXY), "-db", "-f", str(_written("haproxy.cfg")(values, folder))],
        [_HAPROXY],
    ),
    "envoy": Peer(
        [str(_ENVOY), "--version"],
        lambda values, folder: [
            str(_ENVOY), "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning",
            "--config-path", str(_written("envoy.yaml")(values, folder)),
        ],
        [_ENVOY],
    ),
    "fastify": Peer(
        [str(_NODE), "--version"],
        lambda values, _: [str(_NODE), str(HERE / "fastify.mjs"), json.dumps(values | {"modules": str(_FASTIFY)})],
        [_NODE, _FASTIFY / "fastify"],
    ),
    "nginx_lua": Peer(
        [str(_NGINX), "-v"],
        lambda values, folder: [
            str(_NGINX), "-e", "stderr", "-c", str(_written("nginx.conf")(values, folder)),
        ],
        [_NGINX, Path("/usr/lib/nginx/modules/ngx_http_lua_module.so")],
    ),
}  # fmt: skip


@contextmanager
def peer_serving(name: str, checks: Checks, upstream: int, folder: Path, core: int) -> Iterator[tuple[int, int]]:
    """The peer on one core before `upstream`, scheduled as our workers are; gives its port and process id."""
    own = folder / f"{name}-{checks.limit}"
    own.mkdir()
    port = free_port()
    values = {
        "port": port, "upstream": upstream, "pem": str(checks.pem), "jwks": str(checks.jwks), "issuer": checks.issuer,
        "limit": checks.limit, "folder": str(own), "here": str(HERE),
    }  # fmt: skip
    command = ["chrt", "--batch", "0", *PEERS[name].command(values, own)]  # becomes the peer, under its own process id
    with running(command, port=port, log=own / "log", core=core) as pid:
        yield port, pid


@contextmanager
def upstream_serving(core: int, log: Path) -> Iterator[int]:
    """The upstream of every proxy, away from the core that is measured; gives its port."""
    port = free_port()
    with running([sys.executable, "-m", "benchmarks.edge.upstream", str(port)], port=port, log=log, core=core):
        yield port


def status_of(port: int, token: str | None, path: str = "/v1/orders/ord_1") -> int | None:
    """What a GET with this token is answered; None when nobody answers."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as refused:
        return refused.code
    except OSError:
        return None


def shown(name: str, checks: Checks, tokens: Sequence[str], folder: Path) -> dict[str, int | None]:
    """What the peer answers to a good token, to none, to one with a changed signature, and above a small limit.

    `tokens` are of two clients at least: the first two of different clients.
    """
    core, other = cores()
    few = Checks(checks.pem, checks.jwks, checks.issuer, _FEW)
    with (
        upstream_serving(other, folder / "upstream.log") as upstream,
        peer_serving(name, few, upstream, folder, core) as (port, _),
    ):
        head, payload, signature = tokens[0].split(".")
        found = {
            "good": status_of(port, tokens[0]),
            "none": status_of(port, None),
            "forged": status_of(port, f"{head}.{payload}.{signature[::-1]}"),
        }
        for _ in range(_FEW):
            found["above_limit"] = status_of(port, tokens[0])
        found["other_client"] = status_of(port, tokens[1])
        return found


EXPECTED: Final = {"good": 200, "none": 401, "forged": 401, "above_limit": 429, "other_client": 200}


def checks_of(jwks: bytes, issuer: str, token: str, folder: Path) -> Checks:
    """The checks for tokens of the key in `jwks` that signed `token`, in the forms that the peers read."""
    key: Any = jwt.PyJWKSet.from_json(jwks.decode())[jwt.get_unverified_header(token)["kid"]].key
    pem, path = folder / "key.pem", folder / "peers-jwks.json"
    path.write_bytes(jwks)
    pem.write_bytes(key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return Checks(pem, path, issuer)


def own_tokens(count: int, clients: int, folder: Path) -> tuple[Checks, list[str]]:
    """Tokens of a key made here, as the gateway would issue them, and the checks that pass them."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    jwks = json.dumps({"keys": [public | {"kid": "bench", "alg": "RS256", "use": "sig"}]}).encode()
    issuer, now = "http://127.0.0.1:8080", int(time.time())
    tokens = [
        jwt.encode(
            {
                "iss": issuer, "aud": issuer, "sub": f"client-{number % clients}", "iat": now, "nbf": now,
                "exp": now + 7200, "jti": f"{number}", "scope": "orders:read",
            },
            key, algorithm="RS256", headers={"kid": "bench"},
        )
        for number in range(count)
    ]  # fmt: skip
    return checks_of(jwks, issuer, tokens[0], folder), tokens


def of_two_clients(tokens: Sequence[str]) -> tuple[str, str]:
    """The first token, and the first of another client."""
    first = tokens[0]
    subject = _claims(first)["sub"]
    return first, next(token for token in tokens if _claims(token)["sub"] != subject)


def _claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})
