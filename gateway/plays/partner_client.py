"""The partner's side of a play: a client that gets its own tokens and logs what it sent and what it was answered."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Self

import httpx
import msgspec
from msgspec import Struct

_MARGIN_SECONDS: Final = 30.0


class Credentials(Struct, frozen=True, kw_only=True):
    """A partner's; kept in a file of mode 0600."""

    client_id: str
    client_secret: str
    api_key: str

    def __repr__(self) -> str:
        return f"Credentials({self.client_id!r}, ***)"


class PartnerClient:
    """Calls the storefront. With `log` every call is a line of JSON: label, method, path, status, headers, body."""

    def __init__(self, base_url: str, credentials: Credentials, *, log: Path | None = None) -> None:
        self._client = httpx.AsyncClient(base_url=base_url, timeout=30, trust_env=False)
        self._credentials = credentials
        self._log = log
        self._token = ""
        self._expires = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def call(
        self, label: str, method: str, path: str, *, body: Any = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """One call with the partner's token; raises only when no answer came."""
        content = None if body is None else msgspec.json.encode(body)
        sent = {**(headers or {}), "Authorization": f"Bearer {await self.token()}"}
        if content is not None:
            sent.setdefault("Content-Type", "application/json")
        started = time.perf_counter()
        answer = await self._client.request(method, path, content=content, headers=sent)
        self._write(label, answer, time.perf_counter() - started)
        return answer

    async def token(self) -> str:
        """An access token, fetched anew shortly before it ends (RFC 6749 section 4.4)."""
        if time.monotonic() > self._expires:
            answer = await self._client.post(
                "/oauth2/token",
                data={"grant_type": "client_credentials"},
                auth=(self._credentials.client_id, self._credentials.client_secret),
            )
            answer.raise_for_status()
            granted = answer.json()
            self._token = granted["access_token"]
            self._expires = time.monotonic() + granted["expires_in"] - _MARGIN_SECONDS
        return self._token

    async def availability(self, sku: str) -> Decimal | None:
        """What may be sold of one article; None while it is not known or the gateway cannot say."""
        answer = await self.call("availability", "GET", f"/storefront/v1/availability?{httpx.QueryParams(sku=sku)}")
        if answer.status_code != httpx.codes.OK:
            return None
        return Decimal(answer.json()["available_to_sell"])

    def _write(self, label: str, answer: httpx.Response, seconds: float) -> None:
        if self._log is None:
            return
        entry = {
            "label": label,
            "at": time.time(),
            "method": answer.request.method,
            "path": str(answer.request.url.raw_path, "ascii"),
            "sent": answer.request.content.decode("utf-8"),
            "status": answer.status_code,
            "headers": dict(answer.headers),
            "body": answer.text,
            "seconds": seconds,
        }
        with self._log.open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")
