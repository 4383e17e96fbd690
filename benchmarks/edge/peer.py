"""The peer: a FastAPI application that makes the same checks before it reads the same item from the same record.

A JWT (RS256, pinned, audience, issuer, times) through a token cache of the same rule (the credential's own bytes, until
the earlier of its expiry and 60 s), the scope, a GCRA limit per client, the version, and the same ids out.
"""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import jwt
import msgspec
from fastapi import Depends, FastAPI, Header, HTTPException, Response
from pydantic import BaseModel

from gateway.kernel.clock import SystemClock
from gateway.serving.settling import settle
from gateway.settings import load_settings
from gateway.store.postgres import Store
from process_apis.items.process import Items

_CACHE_SIZE = 10_000
_BURST_SECONDS = 60.0


class Money(BaseModel):
    """An amount."""

    amount: str
    currency: str


class Pack(BaseModel):
    """A unit an item is sold in."""

    unit: str
    holds: str


class Item(BaseModel):
    """The same view of an item as the storefront's."""

    id: str
    sku: str
    name: str
    unit: str
    packs: list[Pack]
    list_price: Money | None


class Checks:
    """The same checks, as a FastAPI dependency: for one scope and version, a rate for each client and its burst."""

    def __init__(
        self, jwks: dict[str, Any], issuer: str, *, scope: str, version: str, per_second: float = 1_000_000.0
    ) -> None:
        self._keys = {key["kid"]: jwt.PyJWK(key).key for key in jwks["keys"]}
        self._issuer = issuer
        self._scope = scope
        self._versions = (version, version.removeprefix("v"))
        self._per_second = per_second
        self._cache: dict[str, tuple[float, dict[str, Any]]] = {}
        self._arrivals: dict[str, float] = {}

    def _verified(self, authorization: str) -> dict[str, Any]:
        now = time.time()
        cached = self._cache.get(authorization)
        if cached is not None and cached[0] > now:
            return cached[1]
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer":
            raise HTTPException(401)
        try:
            key = self._keys[jwt.get_unverified_header(token)["kid"]]
            claims: dict[str, Any] = jwt.decode(
                token, key, algorithms=["RS256"], audience=self._issuer, issuer=self._issuer,
                options={"require": ["exp", "iat", "sub"]},
            )  # fmt: skip
        except (jwt.PyJWTError, KeyError) as error:
            raise HTTPException(401) from error
        if len(self._cache) >= _CACHE_SIZE:
            del self._cache[next(iter(self._cache))]
        self._cache[authorization] = (min(claims["exp"], now + 60), claims)
        return claims

    async def __call__(  # not sync: FastAPI would give each call to a thread
        self,
        response: Response,
        authorization: Annotated[str, Header()] = "",
        api_version: Annotated[str, Header()] = "",
    ) -> dict[str, Any]:
        """The claims of a caller who may pass; raises the status otherwise."""
        claims = self._verified(authorization)
        if self._scope not in claims["scope"].split():
            raise HTTPException(403)
        now = time.monotonic()
        arrival = max(now, self._arrivals.get(claims["sub"], 0.0)) + 1 / self._per_second
        if arrival - now > _BURST_SECONDS:
            raise HTTPException(429)
        self._arrivals[claims["sub"]] = arrival
        if api_version and api_version not in self._versions:
            raise HTTPException(400)
        response.headers["x-request-id"] = f"req_{uuid4().hex}"
        response.headers["ratelimit"] = f'"standard";r={int((_BURST_SECONDS - arrival + now) * self._per_second)}'
        return claims


def keys_served() -> dict[str, Any]:
    """The key set of the gateway that issued the tokens."""
    found: dict[str, Any] = msgspec.json.decode(Path(os.environ["BENCH_JWKS"]).read_bytes())
    return found


def make_peer() -> FastAPI:
    """The application."""
    settings = load_settings()
    url = Path(settings.store.url.removeprefix("file:")).read_text(encoding="utf-8").strip()
    store = Store(url, size=settings.store.pool)
    items = Items(store, SystemClock())
    checks = Checks(keys_served(), settings.identity.issuer, scope="items:read", version="v2")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await store.open()
        yield
        await store.close()

    app = FastAPI(lifespan=lifespan, openapi_url=None)
    settle()  # whatever helps one side is given to the other

    @app.get("/storefront/v2/items/{item_id}")
    async def get_item(item_id: str, _: Annotated[dict[str, Any], Depends(checks)]) -> Item:
        item = await items.get(settings.tenant, item_id)
        price = item.list_price
        return Item(
            id=item.item,
            sku=item.sku,
            name=item.name,
            unit=item.base_uom,
            packs=[Pack(unit=pack.uom, holds=str(pack.factor)) for pack in item.packs],
            list_price=Money(amount=str(price.amount), currency=price.currency) if price else None,
        )

    return app
