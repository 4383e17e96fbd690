"""What a checker sees of a simulated S/4HANA by OData, without any of our code."""

import asyncio
import base64
import json
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = "/sap/opu/odata/sap"


class SapLooks:
    """Reads, and does what people and other systems do there."""

    def __init__(self, sandbox):
        self._url = sandbox.url
        known = sandbox.settings()
        password = Path(known["password"].removeprefix("file:")).read_text(encoding="utf-8")
        self._basic = base64.b64encode(f"{known['user']}:{password}".encode()).decode()

    async def count_live_orders(self, reference):
        return len([order for order in await self.orders(reference) if not rejected(order)])

    async def orders(self, reference):
        options = {"$filter": f"PurchaseOrderByCustomer eq '{reference}'", "$expand": "to_Item,to_Partner/to_Address"}
        return (await self.get("API_SALES_ORDER_SRV/A_SalesOrder", options))["results"]

    async def begin_delivery(self, reference):
        """A delivery of one of the first item, as SAP's own shipping would make it; no goods issue yet."""
        item = (await self.orders(reference))[0]["to_Item"]["results"][0]
        part = {
            "ReferenceSDDocument": item["SalesOrder"],
            "ReferenceSDDocumentItem": item["SalesOrderItem"],
            "ActualDeliveryQuantity": "1",
        }
        await self.post("API_OUTBOUND_DELIVERY_SRV/A_OutbDeliveryHeader", {"to_DeliveryDocumentItem": [part]})

    async def get(self, path, options):
        query = urllib.parse.urlencode(options, quote_via=urllib.parse.quote)
        return json.loads((await asyncio.to_thread(self._ask, "GET", f"{path}?{query}"))[1])["d"]

    async def post(self, path, payload):
        fetched, _ = await asyncio.to_thread(self._ask, "GET", "API_SALES_ORDER_SRV/", None, {"x-csrf-token": "Fetch"})
        headers = {"x-csrf-token": fetched["x-csrf-token"], "content-type": "application/json"}
        return json.loads((await asyncio.to_thread(self._ask, "POST", path, json.dumps(payload), headers))[1])["d"]

    def _ask(self, method, path, body=None, headers=None):
        asked = urllib.request.Request(
            f"{self._url}{ROOT}/{path}",
            method=method,
            data=body.encode() if body else None,
            headers={"authorization": f"Basic {self._basic}", "accept": "application/json", **(headers or {})},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(asked, timeout=30) as answer:
            return answer.headers, answer.read()


def rejected(order):
    return all(item["SalesDocumentRjcnReason"] for item in order["to_Item"]["results"])
