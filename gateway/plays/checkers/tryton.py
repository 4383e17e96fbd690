"""As much of Tryton's JSON-RPC as the checkers need (docs.tryton.org, "RPC"): what its books say of themselves."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from gateway.plays.checkers.evidence import fetch


class Tryton:
    """A session of one user, at `url` without a slash at its end."""

    def __init__(self, url: str, database: str, user: str, password: str) -> None:
        self._url = f"{url}/{database}/rpc/"
        self._session = ""
        login = self._post("common.db.login", [user, {"password": password}, "en"])
        self._session = base64.b64encode(f"{user}:{login[0]}:{login[1]}".encode()).decode()
        self._context = self._post("model.res.user.get_preferences", [True, {}])

    def _post(self, method: str, params: list[Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        if self._session:
            headers["Authorization"] = f"Session {self._session}"
        body = json.dumps({"id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(self._url, body, headers)  # noqa: S310 - loopback, from our own plan
        decoded = fetch(request, object_hook=_typed)
        if "error" in decoded:
            raise RuntimeError(f"Tryton: {decoded['error']}")
        return decoded["result"]

    def read(self, model: str, domain: list[Any], fields: list[str], **context: Any) -> list[dict[str, Any]]:
        """Rows of a model."""
        params = [domain, 0, None, [["id", "ASC"]], fields, {**self._context, **context}]
        rows: list[dict[str, Any]] = self._post(f"model.{model}.search_read", params)
        return rows

    def quantities(self, skus: Sequence[str], warehouses: Sequence[str]) -> dict[str, str]:
        """What Tryton itself counts of each product in the storage of these warehouses."""
        locations = self.read(
            "stock.location", [["code", "in", warehouses], ["type", "=", "warehouse"]], ["storage_location"]
        )
        products = self.read(
            "product.product", [["code", "in", skus]], ["code", "quantity"],
            locations=[row["storage_location"] for row in locations], with_childs=True,
        )  # fmt: skip
        return {row["code"]: str(Decimal(str(row["quantity"]))) for row in products}


def _typed(value: dict[str, Any]) -> Any:
    kind = value.get("__class__")
    if kind == "Decimal":
        return Decimal(value["decimal"])
    if kind in ("date", "datetime"):
        return {k: v for k, v in value.items() if k != "__class__"}
    return value
