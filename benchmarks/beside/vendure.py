"""Vendure on PostgreSQL: a promise is ``addPaymentToOrder`` of a basket that is in its state ArrangingPayment.

Vendure looks at stock when a basket enters that state and allocates it when a payment is authorised; its own dummy
handler pays at once. Baskets are filled, addressed and brought there beforehand, each by a shop session of its own; in
a race only up to the step before, so that Vendure may refuse. It is GPL software in processes of its own.
"""

from __future__ import annotations

import asyncio
import csv
import itertools
import json
import secrets
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

from benchmarks.beside.sides import PLENTY, PROMISED, Want, one_of, sku_of
from benchmarks.beside.wire import Line
from benchmarks.processes import ROOT, free_port, running

INSTALLED: Final = ROOT / ".crossdock" / "peers" / "vendure" / "node_modules"
_SCRIPT: Final = Path(__file__).with_name("vendure.cjs")
_COLUMNS: Final = (
    "name", "slug", "description", "assets", "facets", "optionGroups", "optionValues", "sku", "price", "taxCategory",
    "stockOnHand", "trackInventory", "variantAssets", "variantFacets",
)  # fmt: skip
_AT_ONCE: Final = 8
_FAILED: Final = "... on ErrorResult { errorCode }"
_FIRST: Final = (
    "mutation ($v: ID!, $n: Int!) { addItemToOrder(productVariantId: $v, quantity: $n) { __typename " + _FAILED + " } }"
)
_ARRANGE: Final = 'transitionOrderToState(state: "ArrangingPayment") { __typename ' + _FAILED + " }"
_PAY: Final = """addPaymentToOrder(input: $input) {
  __typename ... on Order { state } ... on ErrorResult { errorCode message } }"""
_PAYMENT: Final = {"shouldDecline": False, "shouldError": False, "shouldErrorOnSettle": False}


def missing() -> str | None:
    """Why it cannot be measured."""
    if shutil.which("node") is None:
        return "there is no node: install nodejs and npm, then make bench-peers"
    if not (INSTALLED / "@vendure" / "core").exists():
        return f"not installed ({INSTALLED} is missing): make bench-peers"
    return None


@dataclass(frozen=True)
class Basket:
    """A shop session whose order waits for its payment, or for the step before; `server` is where it shopped."""

    server: int
    token: str
    arranged: bool


class Vendure:
    """Server processes on one database; a session stays with its process."""

    name = "vendure"
    refusals: frozenset[str] = frozenset({"ORDER_STATE_TRANSITION_ERROR"})  # no ArrangingPayment: too little in stock
    busy: frozenset[str] = frozenset()

    def __init__(self, url: str, ports: Sequence[int], clients: int, variants: dict[str, str]) -> None:
        self.url = url
        self.about = f"Vendure {version()} on PostgreSQL, {len(ports)} server processes; addPaymentToOrder of baskets"
        self._variants = variants
        self._servers = range(len(ports))
        self._lines = [[Line(port) for port in ports] for _ in range(clients)]
        self._methods: tuple[str, str] | None = None

    async def prepare(self, orders: Sequence[Want], *, race: bool = False) -> list[Any]:
        """Baskets, ready to be paid, a few at a time; for a `race`, ready to be looked at for stock, then paid."""
        made: list[Any] = []
        left = list(zip(orders, itertools.cycle(self._servers), strict=False))

        async def lane(number: int) -> None:
            while left:
                want, server = left.pop()
                made.append(await self._basket(self._lines[number][server], server, want, not race))

        await asyncio.gather(*(lane(number) for number in range(min(_AT_ONCE, len(self._lines)))))
        return made

    async def _basket(self, line: Line, server: int, want: Want, arrange: bool) -> Basket:
        (sku, amount), *others = want
        _, headers, answer = await line.post(
            "/shop-api", {"query": _FIRST, "variables": {"v": self._variants[sku], "n": amount}}
        )
        basket = Basket(server, headers.get("vendure-auth-token", ""), arrange)
        _must(answer)
        if self._methods is None:
            self._methods = await self._ask_methods(line, basket)
        shipping, _ = self._methods
        adding = "\n".join(
            f'i{number}: addItemToOrder(productVariantId: "{self._variants[sku]}", quantity: {amount}) '
            f"{{ __typename {_FAILED} }}"
            for number, (sku, amount) in enumerate(others)
        )
        name = f"buyer-{secrets.token_hex(8)}"
        rest = f"""mutation {{ {adding}
          who: setCustomerForOrder(input: {{ firstName: "A", lastName: "B", emailAddress: "{name}@example.com" }})
            {{ __typename {_FAILED} }}
          where: setOrderShippingAddress(input: {{ streetLine1: "1 Dock Road", city: "Reno", postalCode: "89501",
            countryCode: "US" }}) {{ __typename {_FAILED} }}
          how: setOrderShippingMethod(shippingMethodId: ["{shipping}"]) {{ __typename {_FAILED} }}
          {"then: " + _ARRANGE if arrange else ""} }}"""
        _must(await self._ask(line, basket, rest))
        return basket

    async def _ask_methods(self, line: Line, basket: Basket) -> tuple[str, str]:
        found = await self._ask(line, basket, "{ eligibleShippingMethods { id } eligiblePaymentMethods { code } }")
        _must(found)
        return found["data"]["eligibleShippingMethods"][0]["id"], found["data"]["eligiblePaymentMethods"][0]["code"]

    async def _ask(self, line: Line, basket: Basket, query: str, **variables: Any) -> Any:
        _, _, answer = await line.post(
            "/shop-api", {"query": query, "variables": variables}, Authorization=f"Bearer {basket.token}"
        )
        return answer

    async def claim(self, lane: int, prepared: Any) -> str:
        """Pay."""
        assert self._methods is not None
        steps = _PAY if prepared.arranged else f"arranged: {_ARRANGE} {_PAY}"
        answer = await self._ask(
            self._lines[lane][prepared.server], prepared, f"mutation ($input: PaymentInput!) {{ {steps} }}",
            input={"method": self._methods[1], "metadata": _PAYMENT},
        )  # fmt: skip
        if not isinstance(answer, dict) or answer.get("errors"):
            return str(answer["errors"][0].get("message", "error"))[:80] if isinstance(answer, dict) else "no JSON"
        told = answer["data"]
        if told["addPaymentToOrder"].get("state") == "PaymentSettled":
            return PROMISED
        return next(str(each["errorCode"]) for each in told.values() if "errorCode" in each)

    def close(self) -> None:
        """Hang up."""
        for line in itertools.chain.from_iterable(self._lines):
            line.close()


def _must(answer: Any) -> None:
    refused = [each for each in (answer.get("data") or {}).values() if isinstance(each, dict) and "errorCode" in each]
    if answer.get("errors") or refused:
        raise SystemExit(f"Vendure refuses to fill a basket: {json.dumps(answer)[:1000]}")


def version() -> str:
    """Of what is installed."""
    found: str = json.loads((INSTALLED / "@vendure" / "core" / "package.json").read_text(encoding="utf-8"))["version"]
    return found


@asynccontextmanager
async def vendure(folder: Path, url: str, given: Any) -> AsyncIterator[Vendure]:
    """In the empty database `url`."""
    ports = [free_port() for _ in range(given.processes)]
    settings = {"modules": str(INSTALLED), "database": url, "password": secrets.token_urlsafe(18)}
    await asyncio.to_thread(_populate, folder, settings | {"port": free_port()}, given)
    connection = await asyncpg.connect(url)
    variants = {row["sku"]: str(row["id"]) for row in await connection.fetch("select sku, id from product_variant")}
    await connection.execute("vacuum analyze")
    await connection.close()
    async with AsyncExitStack() as stack:
        for port in ports:
            command, log = _command(settings | {"port": port}), folder / f"vendure-{port}.log"
            stack.enter_context(running(command, port=port, log=log, folder=folder, NODE_ENV="production"))
        side = Vendure(url, ports, max(given.clients, given.buyers), variants)
        yield side
        side.close()


def _command(settings: dict[str, Any]) -> list[str]:
    return [str(shutil.which("node")), str(_SCRIPT), json.dumps(settings)]


def _populate(folder: Path, settings: dict[str, Any], given: Any) -> None:
    skus = [*map(sku_of, range(given.items)), *map(one_of, range(given.rounds))]
    products = folder / "products.csv"
    with products.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, _COLUMNS, restval="")
        table.writeheader()
        for sku in skus:
            stock = 1 if sku.startswith("ONE-") else PLENTY
            table.writerow(
                {"name": sku, "slug": sku.lower(), "sku": sku, "price": "10.00", "taxCategory": "Standard",
                 "stockOnHand": stock, "trackInventory": "true"}
            )  # fmt: skip
    done = subprocess.run(
        _command(settings | {"products": str(products)}), cwd=folder, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"Vendure could not be set up: {(done.stdout + done.stderr)[-3000:]}")
