"""mock-sap with what S/4HANA publishes and mock-sap lacks, in the names of SAP's own model. See README.md, "mock-sap".

mock-sap (MIT, by others) is declared entity by entity, so that what is added here is served, stored, filtered and
checked as everything else of it is.
"""

from __future__ import annotations

import importlib
import json
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from gateway.kernel.errors import Misconfigured

_VERSION: Final = ";v=0002"  # of the outbound delivery service, in its path


def load() -> dict[str, Any]:
    """The modules of mock-sap, the additions made. Raises `Misconfigured` where it is not installed."""
    names = ("schema", "server", "service", "store", "db", "documents", "odata")
    try:
        sap = {name: importlib.import_module(f"mocksap.{name}") for name in names}
    except ImportError:
        raise Misconfigured(
            "mock-sap is not installed: pip install mock-sap==0.22.0", code="sap.not_installed"
        ) from None
    _declare(sap["schema"])
    _behave(sap)
    return sap


def _declare(schema: Any) -> None:
    text, amount, types = schema.S, schema.DEC, schema.ENTITY_TYPES
    if types["A_SalesOrderItem"].prop("SalesDocumentRjcnReason") is not None:
        return
    _add(
        types["A_SalesOrderItem"], text("ProductionPlant", max_length=4), text("SalesDocumentRjcnReason", max_length=2)
    )
    _add(types["A_OutbDeliveryHeader"], text("DeliveryDocumentBySupplier", max_length=35))
    _add(types["A_OutbDeliveryItem"], amount("ActualDeliveryQuantity"), text("DeliveryQuantityUnit", max_length=3))
    sets = {
        "A_ProductUnitsOfMeasure": (
            "API_PRODUCT_SRV",
            [
                text("Product", key=True, nullable=False, max_length=40),
                text("AlternativeUnit", key=True, nullable=False, max_length=3),
                amount("QuantityNumerator", precision=5, scale=0),
                amount("QuantityDenominator", precision=5, scale=0),
            ],
        ),
        "A_CustomerSalesArea": (
            "API_BUSINESS_PARTNER_SRV",
            [
                text("Customer", key=True, nullable=False, max_length=10),
                text("SalesOrganization", key=True, nullable=False, max_length=4),
                text("DistributionChannel", key=True, nullable=False, max_length=2),
                text("Division", key=True, nullable=False, max_length=2),
                text("CustomerPaymentTerms", max_length=4),
                text("OrderIsBlockedForCustomer", max_length=2),
            ],
        ),
        "A_MatlStkInAcctMod": (
            "API_MATERIAL_STOCK_SRV",
            [
                text("Material", key=True, nullable=False, max_length=40),
                text("Plant", key=True, nullable=False, max_length=4),
                text("StorageLocation", key=True, nullable=False, max_length=4),
                text("Batch", max_length=10),
                text("InventoryStockType", key=True, nullable=False, max_length=2),
                text("InventorySpecialStockType", max_length=1),
                text("MaterialBaseUnit", max_length=3),
                amount("MatlWrhsStkQtyInMatlBaseUnit", precision=31, scale=14),
            ],
        ),
    }
    service = "API_MATERIAL_STOCK_SRV"
    schema.SERVICES[service] = schema.Service(service, service, "Material Stock (A2X)", {}, read_only=True)
    for name, (owner, properties) in sets.items():
        schema._register(schema.EntityType(name, label=name, props=properties))  # noqa: SLF001 - its README's way
        schema.SERVICES[owner].sets[name] = name


def _add(kind: Any, *properties: Any) -> None:
    kind.props.extend(properties)


def _behave(sap: dict[str, Any]) -> None:
    """Deliveries refer to orders and are posted; what is delivered is not rejected."""
    server = sap["server"]
    if getattr(server, "plain_dispatch", None) is not None:
        return
    server.plain_dispatch = server.dispatch
    route = server.Handler._route  # noqa: SLF001 - the one place that every request passes

    def dispatch(ctx: Any, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Any:
        try:
            return _dispatch(sap, ctx, method, path, query, headers, body)
        except sap["odata"].SapError as error:
            return sap["service"].Response.error(error)

    def _route(self: Any, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Any:
        # Sandboxes of this house have their control under one name; the service's version is part of its path at SAP.
        path = path.replace("/_control/", "/_mock/", 1) if path.startswith("/_control/") else path.replace(_VERSION, "")
        return route(self, method, path, query, headers, body)

    # Its answers go out in pieces, and with Nagle's algorithm each but the first waits 40 ms on a kept connection.
    server.Handler.disable_nagle_algorithm = True
    server.dispatch, server.Handler._route = dispatch, _route  # noqa: SLF001


def _dispatch(sap: dict[str, Any], ctx: Any, method: str, path: str, query: str, headers: Any, body: bytes) -> Any:
    last = path.rpartition("/")[2]
    if method == "POST" and last == "PostGoodsIssue":
        return _goods_issue(sap, ctx, query, headers)
    if method == "POST" and last == "A_OutbDeliveryHeader":
        payload = _referring(sap, ctx, json.loads(body))
        answer = sap["server"].plain_dispatch(ctx, method, path, query, headers, json.dumps(payload).encode())
        if answer.status == 201:  # noqa: PLR2004
            for number in {item["ReferenceSDDocument"] for item in payload["to_DeliveryDocumentItem"]}:
                sap["documents"].apply_delivery_status(ctx, sap["documents"].sales_order(ctx, number))
        return answer
    if method in ("PATCH", "MERGE") and last.startswith("A_SalesOrderItem(") and b"SalesDocumentRjcnReason" in body:
        _refuse_delivered(sap, ctx, path)
    return sap["server"].plain_dispatch(ctx, method, path, query, headers, body)


def _referring(sap: dict[str, Any], ctx: Any, payload: dict[str, Any]) -> dict[str, Any]:
    """A delivery with reference: what it leaves out comes from the order, and it holds no more than is open there."""
    error, documents, items = sap["odata"].SapError, sap["documents"], []
    for item in payload.get("to_DeliveryDocumentItem", []):
        order = documents.sales_order(ctx, item.get("ReferenceSDDocument", ""))
        known = {} if order is None else {int(row["SalesOrderItem"]): row for row in documents.order_items(ctx, order)}
        row = known.get(int(item.get("ReferenceSDDocumentItem", "0")))
        if order is None or row is None or row["SalesDocumentRjcnReason"]:
            raise error("No delivery can be created for this item of the sales document", 400)
        quantity = item["ActualDeliveryQuantity"]
        if refusal := documents.over_delivery(row, documents.delivered_so_far(ctx, order), Decimal(quantity)):
            raise error(refusal, 400)
        items.append(
            {
                **item,
                "ReferenceSDDocument": order["SalesOrder"],
                "ReferenceSDDocumentItem": row["SalesOrderItem"],
                "DeliveryDocumentItem": row["SalesOrderItem"],
                "Material": row["Material"],
                "Plant": row["ProductionPlant"] or row["Plant"],
                "ActualDeliveredQtyInOrderQtyUnit": quantity,
                "OrderQuantityUnit": row["RequestedQuantityUnit"],
            }
        )
    if not items:
        raise error("A delivery needs an item with a reference", 400)
    return {**payload, "to_DeliveryDocumentItem": items}


def _goods_issue(sap: dict[str, Any], ctx: Any, query: str, headers: dict[str, str]) -> Any:
    number = sap["service"].parse_query(query).get("DeliveryDocument", "").strip("'")
    kind, keys = sap["schema"].ENTITY_TYPES["A_OutbDeliveryHeader"], {"DeliveryDocument": number}
    row = sap["store"].get(ctx.conn, kind, keys)
    if row is None:
        raise sap["odata"].SapError(f"Delivery {number} does not exist", 404)
    sap["service"]._check_if_match(ctx, kind, keys, headers)  # noqa: SLF001
    if row["OverallGoodsMovementStatus"] == "C":
        raise sap["odata"].SapError(f"Goods issue of delivery {number} is already posted", 400)
    posted = {"OverallGoodsMovementStatus": "C", "OverallSDProcessStatus": "C"}
    sap["store"].update(ctx.conn, kind, keys, posted, user=ctx.user)
    return sap["service"].Response(body={"d": {"PostGoodsIssue": {"DeliveryDocument": number}}})


def _refuse_delivered(sap: dict[str, Any], ctx: Any, path: str) -> None:
    kind = sap["schema"].ENTITY_TYPES["A_SalesOrderItem"]
    predicate = path.rpartition("(")[2].rstrip(")")
    keys = sap["odata"].parse_key_predicate(predicate, kind)
    order = sap["documents"].sales_order(ctx, keys["SalesOrder"])
    if order is not None and sap["documents"].delivered_so_far(ctx, order).get(keys["SalesOrderItem"]):
        raise sap["odata"].SapError(f"Item {keys['SalesOrderItem']} was delivered and cannot be rejected", 400)


def fill(sap: dict[str, Any], connection: Any, seed: Path) -> None:
    """Put the rows of `seed` (entity type to rows, in SAP's names) in place of mock-sap's own demo data."""
    sap["db"].reset(connection)
    for name, rows in json.loads(seed.read_text(encoding="utf-8")).items():
        for row in rows:
            sap["store"].insert(connection, sap["schema"].ENTITY_TYPES[name], row)
