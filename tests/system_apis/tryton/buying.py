"""A buyer at work in the real Tryton, past the adapter: purchases entered and approved, books looked at."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from gateway.canonical.capabilities import Call
from system_apis.tryton.client import Client
from system_apis.tryton.sandbox import TrytonSandbox


class Buyer:
    """Enters purchases as the sandbox's integration user, who has the rights of purchasing."""

    def __init__(self, sandbox: TrytonSandbox, session: Any) -> None:
        self._client = Client(session, database=sandbox.database, user=sandbox.user, password=sandbox.password)
        self._context: dict[str, Any] = {}

    def _call(self) -> Call:
        return Call(tenant="acme", correlation_id="buyer", deadline=time.monotonic() + 60)

    async def rows(self, model: str, domain: Sequence[object], *fields: str) -> list[dict[str, Any]]:
        return await self._client.search_read(self._call(), model, domain, fields, context=self._context)

    async def press(self, model: str, button: str, number: int) -> None:
        await self._client.write(self._call(), f"model.{model}.{button}", [number], context=self._context)

    async def buy(
        self, *lines: tuple[str, str, str, str], supplier: str = "SUP2", warehouse: str = "WH-N"
    ) -> tuple[str, list[int]]:
        """An approved purchase of (SKU, unit symbol, quantity, price): its number and the ids of its lines."""
        if not self._context:
            [company] = await self.rows("company.company", [], "currency")
            self._context = {"company": company["id"]}
            self._currency = company["currency"]
        [party] = await self.rows("party.party", [("code", "=", supplier)], "addresses")
        [house] = await self.rows("stock.location", [("code", "=", warehouse)], "code")
        wanted: list[Mapping[str, object]] = []
        for sku, unit, quantity, price in lines:
            [product] = await self.rows("product.product", [("code", "=", sku)], "code")
            [symbol] = await self.rows("product.uom", [("symbol", "=", unit)], "symbol")
            wanted.append(
                {
                    "product": product["id"],
                    "unit": symbol["id"],
                    "quantity": float(quantity),
                    "unit_price": Decimal(price),
                }
            )
        head = {
            "party": party["id"], "company": self._context["company"], "currency": self._currency,
            "invoice_address": party["addresses"][0], "warehouse": house["id"], "invoice_method": "fulfillment",
            "lines": [("create", wanted)],
        }  # fmt: skip
        [made] = await self._client.write(self._call(), "model.purchase.purchase.create", [head], context=self._context)
        for button in ("quote", "confirm"):
            await self.press("purchase.purchase", button, made)
        [row] = await self.rows("purchase.purchase", [("id", "=", made)], "number", "lines")
        return row["number"], row["lines"]

    async def invoices(self, number: str) -> list[tuple[str | None, str, Decimal]]:
        """(the supplier's number, state, net) of what Tryton has of a purchase."""
        [row] = await self.rows("purchase.purchase", [("number", "=", number)], "invoices")
        found = await self.rows(
            "account.invoice", [("id", "in", row["invoices"])], "reference", "state", "untaxed_amount"
        )
        return [(each["reference"], each["state"], each["untaxed_amount"]) for each in found]

    async def receptions(self, number: str) -> list[tuple[str, str]]:
        """(our reference, state) of the incoming shipments of a purchase."""
        moves = await self.rows("stock.move", [("purchase.number", "=", number)], "shipment")
        names = {each["shipment"].partition(",")[2] for each in moves if each["shipment"]}
        found = await self.rows("stock.shipment.in", [("id", "in", sorted(map(int, names)))], "reference", "state")
        return [(each["reference"], each["state"]) for each in found]

    async def state(self, number: str) -> tuple[str, str, str]:
        """State, shipment state and invoice state of a purchase."""
        [row] = await self.rows(
            "purchase.purchase", [("number", "=", number)], "state", "shipment_state", "invoice_state"
        )
        return row["state"], row["shipment_state"], row["invoice_state"]
