"""The settings file and the secrets that `crossdock up` writes for the processes that it starts."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.engines.engine import EngineUrls
from gateway.kernel.toml_text import toml_text
from gateway.plays.demo import Demo


def write_settings(
    path: Path,
    *,
    secrets_folder: Path,
    urls: EngineUrls,
    installation: str,
    ports: tuple[int, int],
    gateway_workers: int,
    demo: Demo | None,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write `path`, with `more` settings of whoever asks.

    Secrets go to files of mode 0600 beside it; those that must survive restarts are made once.
    """
    secrets_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    refs = {
        name: _keep(secrets_folder / name, value, renew=True)
        for name, value in (("postgres", urls.postgres), ("nats", urls.nats), ("valkey", urls.valkey))
    }
    master = _keep(secrets_folder / "master-1", base64.b64encode(os.urandom(48)).decode())
    bootstrap = _keep(secrets_folder / "console-bootstrap", secrets.token_urlsafe(24))
    gateway_port, console_port = ports
    tree: dict[str, Any] = {
        "tenant": "demo",
        "store": {"url": refs["postgres"], "installation": installation},
        "backbone": {"url": refs["nats"]},
        "cache": {"url": refs["valkey"]},
        "secrets": {"keys": {"1": master}},
        "identity": {"issuer": f"http://127.0.0.1:{gateway_port}"},
        "http": {
            "port": gateway_port,
            "workers": gateway_workers,
            "public_url": f"http://127.0.0.1:{gateway_port}",
        },
        "console": {"port": console_port, "bootstrap_token": bootstrap},
        **(demo.settings() if demo is not None else _EMPTY),
        **(more or _EMPTY),
    }
    path.write_text(toml_text(tree), encoding="utf-8")


_EMPTY: Mapping[str, Any] = {}


def _keep(path: Path, value: str, *, renew: bool = False) -> str:
    """A secret reference to `path`, which is made with `value` when it is not there yet, or anew with `renew`."""
    if renew or not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(value)
    return f"file:{path}"
