"""The traffic of the play of outages: buyers that never give up under their own key, and warehouses at work.

What was sent is on disk before it is sent, and what was answered before it is acted on: the checker believes these
logs and not this process.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from gateway.plays.outage_plan import Basket
from gateway.plays.partner_client import Credentials

_AGAIN: Final = frozenset({429, 502, 503, 504})
_AGAIN_CODES: Final = frozenset({"idempotency.in_flight", "idempotency.outcome_unknown"})
_CALL_SECONDS: Final = 30.0
_LONGEST_PAUSE: Final = 1.0
_PROBE_SECONDS: Final = 0.4
_WORK_SECONDS: Final = 0.4
_SHIP_TO: Final = {
    "name": "Harbor Outfitters",
    "street": "12 Quay Street",
    "city": "Portland",
    "postal_code": "04101",
    "country": "US",
}


class SyncedLog:
    """One JSON object a line, on disk when `write` returns."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def write(self, **entry: Any) -> None:
        """Append one entry with its time."""
        self._file.write(json.dumps({"at": time.time(), **entry}) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Traffic:
    """Buyers and probes of one partner. `during` names the outage under way, for the log and the timeline."""

    def __init__(self, url: str, credentials: Credentials, token: str, log: SyncedLog, chance: random.Random) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=_CALL_SECONDS, trust_env=False)
        self._doors: tuple[dict[str, str], ...] = (
            {"Authorization": f"Bearer {token}"},
            {"X-Api-Key": credentials.api_key},
        )
        self._log = log
        self._chance = chance
        self._waiting: asyncio.Queue[Basket] = asyncio.Queue()
        self.during = ""
        self.accepted: dict[str, str] = {}
        self.refused = 0
        self.seen: dict[str, Counter[str]] = {}

    async def close(self) -> None:
        """Hang up."""
        await self._client.aclose()

    def bring(self, baskets: Sequence[Basket]) -> None:
        """Give the buyers something to order."""
        for basket in baskets:
            self._waiting.put_nowait(basket)

    async def all_answered(self) -> None:
        """Wait until every basket brought so far has its final answer."""
        await self._waiting.join()

    async def buy(self) -> None:
        """One buyer: takes basket after basket, until cancelled."""
        while True:
            basket = await self._waiting.get()
            await self._order(basket)
            self._waiting.task_done()

    async def probe(self, skus: tuple[str, ...]) -> None:
        """Ask for an article's availability, or how an order fares, again and again, until cancelled."""
        while True:
            path = f"/storefront/v1/availability?sku={self._chance.choice(skus)}"
            if self.accepted and self._chance.random() < 0.5:  # noqa: PLR2004 - as often one as the other
                path = f"/storefront/v1/orders/{self._chance.choice(list(self.accepted.values()))}/monitor"
            await self._call("probe", "", "GET", path, {}, None)
            await asyncio.sleep(_PROBE_SECONDS)

    async def _order(self, basket: Basket) -> None:
        body = {
            "external_number": basket.number,
            "ship_to": _SHIP_TO,
            "lines": [{"sku": sku, "quantity": str(amount)} for sku, amount in basket.lines],
        }
        key = {"Idempotency-Key": f'"{basket.number}"'}
        pause = 0.1
        while True:
            answer = await self._call("order", basket.number, "POST", "/storefront/v1/orders", key, body)
            if answer is not None and not _worth_another(answer):
                break
            await asyncio.sleep(self._chance.uniform(0.5, 1.0) * pause)
            pause = min(_LONGEST_PAUSE, pause * 1.6)
        if answer.status_code == httpx.codes.CREATED:
            self.accepted[basket.number] = answer.json()["id"]
        else:
            self.refused += 1

    async def _call(
        self, what: str, key: str, method: str, path: str, headers: Mapping[str, str], body: Any
    ) -> httpx.Response | None:
        during = self.during
        content = None if body is None else msgspec.json.encode(body)
        sent = {**headers, **self._chance.choice(self._doors)}
        if content is not None:
            sent["Content-Type"] = "application/json"
        self._log.write(event="sending", what=what, key=key, method=method, path=path, sent=body, during=during)
        started = time.perf_counter()
        try:
            answer = await self._client.request(method, path, content=content, headers=sent)
        except httpx.TransportError as error:
            self._log.write(event="no answer", what=what, key=key, error=type(error).__name__, during=during)
            self._count(during, "no answer")
            return None
        self._log.write(
            event="answer",
            what=what,
            key=key,
            status=answer.status_code,
            headers=dict(answer.headers),
            body=answer.text,
            seconds=time.perf_counter() - started,
            during=during,
        )
        self._count(during, str(answer.status_code))
        if _token_ran_out(answer):
            self._doors = self._doors[-1:]
        return answer

    def _count(self, during: str, answer: str) -> None:
        self.seen.setdefault(during, Counter())[answer] += 1


def _token_ran_out(answer: httpx.Response) -> bool:
    """Whether a play outlasted its token: the buyers go on with their key, which does not run out."""
    return answer.status_code == httpx.codes.UNAUTHORIZED and '"token.expired"' in answer.text


def _worth_another(answer: httpx.Response) -> bool:
    if answer.status_code in _AGAIN or answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR:
        return True
    if _token_ran_out(answer):
        return True
    if answer.status_code != httpx.codes.CONFLICT:
        return False
    try:
        return answer.json().get("code") in _AGAIN_CODES
    except ValueError:
        return True


class Warehouses:
    """People in the warehouses: they ship what was released, sometimes a piece first, whatever is down elsewhere."""

    def __init__(self, urls: Mapping[str, str], traffic: Traffic, log: SyncedLog, chance: random.Random) -> None:
        self._urls = urls
        self._traffic = traffic
        self._log = log
        self._chance = chance
        self._begun: set[tuple[str, str]] = set()
        self.shipped = 0

    async def work(self) -> None:
        """Until cancelled."""
        async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
            while True:
                for name, url in self._urls.items():
                    try:
                        await self._round(client, name, url)
                    except (httpx.TransportError, ValueError):
                        continue  # it is down: its people wait
                await asyncio.sleep(_WORK_SECONDS)

    async def _round(self, client: httpx.AsyncClient, name: str, url: str) -> None:
        ours = set(self._traffic.accepted.values())
        for order in (await client.get(f"{url}/_control/orders?open=1")).json()["orders"]:
            ready = order["client_reference"] in ours and order["status"] not in ("SHIPPED", "CANCELLED")
            if ready and self._chance.random() < 0.6:  # noqa: PLR2004 - not all at once
                await self._ship(client, name, url, order)

    async def _ship(self, client: httpx.AsyncClient, name: str, url: str, order: dict[str, Any]) -> None:
        what: dict[str, Any] = {"client_reference": order["client_reference"]}
        first = (name, order["client_reference"]) not in self._begun
        if first and self._chance.random() < 0.4:  # noqa: PLR2004
            what["lines"] = [{"line_number": order["lines"][0]["line_number"], "quantity": "1"}]
        self._begun.add((name, order["client_reference"]))
        answer = await client.post(f"{url}/_control/ship", json=what)
        self._log.write(warehouse=name, asked=what, status=answer.status_code, body=answer.text)
        self.shipped += answer.status_code == httpx.codes.OK
