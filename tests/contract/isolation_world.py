"""Two partners of one tenant, one of another, applications and operators of both, and what the first partner has.

`OWNED` says of every input whose business it is: a partner's, its tenant's, or nobody's. The same input exists twice:
with the first partner's values, and with values that nobody ever had.
"""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx
from running_gateway import SKUS, TENANT, RunningGateway, billed

from gateway.app import administer
from gateway.canonical.capabilities import Connection
from gateway.identity.clients import add_api_key, add_client
from gateway.identity.credentials import random_text
from gateway.identity.grants import ClientKind
from gateway.identity.partners import PARTNER_SCOPES, PartnerCredentials, add_partner
from gateway.identity.plans import add_plan
from gateway.kernel.ids import named_id, new_id
from gateway.kernel.keyring import KeyRing
from gateway.settings import load_settings

ELSEWHERE = "elsewhere"
PARTNER, WHOLE_TENANT = "a partner's", "its tenant's"
SUPPLIER_SCOPES = ("purchase-orders:read", "purchase-orders:write")
ALL_SCOPES = (
    *(
        "items:read",
        "items:write",
        "availability:read",
        "stock:read",
        "stock:write",
        "orders:read",
        "orders:write",
        "orders:repair",
    ),
    "lots:write",
    *("claims:read", "claims:write", "claims:override", "source:*", "holders:write", "rules:read", "rules:write"),
    *("reconciliation:read", "reconciliation:decide"),
    *("locations:read", "locations:write", "customers:read", "customers:write", "reference:own"),
    *("publication:read", "publication:repair"),
    *("exceptions:read", "exceptions:repair", "exceptions:approve"),
    *("counts:read", "counts:write", "counts:approve"),
    *("returns:read", "returns:write", "returns:approve"),
    *("purchases:read", "purchases:write", "purchases:decide", "suppliers:read", "suppliers:write"),
    *SUPPLIER_SCOPES,
    *("transfers:read", "transfers:write", "transfers:close", "stock-status:read", "stock-status:write"),
    *("notifications:read", "notifications:repair", "partners:read", "partners:administer"),
    *("system:read", "system:write"),
)
# Those of them that we draw, so that nobody else has them by chance.
DRAWN = (
    "Last-Event-ID",
    "order_id",
    "partner_id",
    "client_id",
    "key_id",
    "message_id",
    "exception_id",
    "finding_id",
    "entry_id",
    "bulk_id",
    "run_id",
    "transfer_id",
    "change_id",
    "count_id",
    "return_id",
    "invoice_id",
    "disposition_id",
    "credit_id",
    "purchase_id",
    "supplier_id",
    "item_id",
    "cursor",
)
# A claim's command is one action of one order, and a cancelled order stays so.
_CLAIMS = {
    **{f"{verb}Input.action": f"isolated-{verb}-action" for verb in
       ("Reservation", "DatedClaim", "Extension", "Allocation", "Transfer", "Release", "Cancellation")},
    "CancellationInput.order": "isolated-cancelled-order",
    **{f"{verb}Input.action": f"isolated-order-{verb}" for verb in
       ("Hold", "LineCancellation", "Split", "Reallocation")},
    "TransferPlanInput.action": "isolated-transfer",
    "HandlingInput.action": "isolated-handling",
    "CountInput.action": "isolated-count",
    "StatusChangeInput.action": "isolated-status-change",
    "ReturnInput.action": "isolated-return",
    "ReturnInput.reference": "isolated-return-reference",
    "ChangeInput.reference": "isolated-change-reference",
    "ReturnReceiptInput.action": "isolated-return-receipt",
    "DispositionInput.action": "isolated-disposition",
    "to": "isolated-receiving-order",
}  # fmt: skip
OWNED: Mapping[str, str] = {
    **dict.fromkeys(_CLAIMS, PARTNER),
    **dict.fromkeys(
        ("order_id", "order", "external_number", "account", "sold_to", "partner_id", "partner", "client_id", "key_id",
         "message_id", "exception_id", "cursor", "Last-Event-ID", "Idempotency-Key", "PartnerInput.name",
         "LocationInput.id", "RuleInput.channel", "HoldRuleInput.name", "CustomerInput.number",
         "finding_id", "run_id", "run",
         "transfer_id", "change_id", "count_id", "return_id", "invoice_id", "disposition_id", "credit_id",
         "entry_id", "bulk_id", "about", "purchase_id", "supplier_id", "supplier", "SupplierInput.name"),
        PARTNER,
    ),
    **dict.fromkeys(
        ("item_id", "location_id", "customer_id", "number", "parent", "below", "item", "sku", "skus", "plan_name", "id",
         "instance", "location", "event_id", "code", "reference", "posting", "source", "document",
         "origin", "destination", "items"),
        WHOLE_TENANT,
    ),
}  # fmt: skip
_NOBODYS: Mapping[str, Any] = {
    **dict.fromkeys(("name", "street", "city", "postal_code", "reason", "counted_by"), "somebody"),
    "holder": "wms_north",
    "country": "US",
    "currency": "USD",
    "channel": "web",
    "business_owner": "somebody",
    "lot": "L-1",
    "expires_on": "2030-01-01",
    "expires_in": 60,
    "plan": "standard",
    "accounts": "C-1",
    "limit": 1,
    "scopes": "orders:read",
    "rate": "120/minute",
    "state": "open",
    "line": 1,
    "amount": "1",
    "value": "1",
    "above": "999999999999",
    "quantity": "1",
    "uom": "EA",
    "unit": "EA",
    "sequence": 1,
    "epoch": 1,
    "occurred_at": "2026-11-21T10:00:00Z",
    "counted_at": "2026-11-21T10:00:00Z",
    "time": "2026-11-21T10:00:00Z",
    "If-Match": '"v1"',
    "what": "stock",
    "cause": "source_only",
    "kind": "order",
    "class": "business",
    "fault_domain": "erp",
    "error_code": "erp.down",
    "assignee": "somebody",
    "least_rank": 1,
    "raised_from": "2026-11-21T10:00:00Z",
    "raised_before": "2036-11-21T10:00:00Z",
    "payload": {},
    "verb": "retry",
    "version": 1,
    "attribute": "name",
    "publishes": "*",
    "importLocations": "location,parent\r\nimported,nowhere\r\n",
    "importItems": "sku,name\r\nimported,somebody\r\n",
    "importKits": "sku\r\nimported\r\n",
    "importSubstitutes": "sku\r\nimported\r\n",
    "importCustomers": "number,name,parent\r\nimported,somebody,nobody\r\n",
    "dry_run": "false",
    "partial": "false",
    "full": False,
    "date": "2027-01-11",
    "ordered": "1",
    "AckLineInput.code": "IA",
    **dict.fromkeys(("on", "expected", "shipped", "invoiced"), "2027-01-11"),
    **dict.fromkeys(("carrier", "tracking", "text", "substitute", "note", "subject"), "something"),
    **dict.fromkeys(("accept", "suspended", "needing"), False),
    "sscc": "000000000000000000",
    "unit_price": "1",
    "codes": {},
    "step": "documents",
}


@dataclass(frozen=True)
class World:
    """Keys by zone. `owners` is the first partner, then its tenant's; `peer` the other partner of that tenant."""

    owners: Mapping[str, str]
    peer: str
    strangers: Mapping[str, str]
    unscoped: Mapping[str, str]
    theirs: Mapping[str, Any]

    def ghost(self, *levels: str) -> dict[str, Any]:
        """The same inputs, those of `levels` with values that nobody ever had."""
        return {
            name: _like(self.theirs[name]) if OWNED.get(name) in levels else self.theirs[name] for name in self.theirs
        }


async def make_world(gateway: RunningGateway) -> World:
    """Everybody, and one of each thing that a partner can have."""

    async def work(connection: Connection, ring: KeyRing) -> tuple[World, PartnerCredentials]:
        async def partner(tenant: str, name: str, account: str, scopes: tuple[str, ...]) -> PartnerCredentials:
            return await add_partner(
                connection, ring, tenant=tenant, name=name, channel="web", plan="standard", accounts=[account],
                scopes=scopes, webhook_url=f"https://{name}.example/hooks",
            )  # fmt: skip

        async def key(tenant: str, kind: ClientKind, scopes: tuple[str, ...]) -> str:
            client = await add_client(connection, ring, tenant=tenant, name=kind.value, kind=kind, scopes=scopes)
            return await add_api_key(connection, ring, tenant=tenant, client_id=client.client_id, environment="live")

        async def callers(tenant: str, experience: str, scopes: tuple[str, ...]) -> dict[str, str]:
            process = await key(tenant, ClientKind.APPLICATION, scopes)
            return {
                "experience": experience,
                "process": process,
                "system": await key(tenant, ClientKind.OPERATOR, scopes),
            }

        first = await partner(TENANT, "isolated-first", "ISO-1", (*PARTNER_SCOPES, *SUPPLIER_SCOPES))
        peer = await partner(TENANT, "isolated-peer", "ISO-2", (*PARTNER_SCOPES, *SUPPLIER_SCOPES))
        silent = await partner(TENANT, "isolated-silent", "ISO-3", ("nothing:read",))
        foreign = await partner(ELSEWHERE, "isolated-foreign", "ISO-4", (*PARTNER_SCOPES, *SUPPLIER_SCOPES))
        await add_plan(
            connection, tenant=TENANT, name="isolated", description="", limits={"default": {"rate": "90/hour"}}
        )
        world = World(
            owners=await callers(TENANT, first.api_key, ALL_SCOPES),
            peer=peer.api_key,
            strangers=await callers(ELSEWHERE, foreign.api_key, ALL_SCOPES),
            unscoped=await callers(TENANT, silent.api_key, ("nothing:read",)),
            theirs={},
        )
        return world, first

    settings = load_settings(gateway.settings_path)
    world, first = await administer(settings, work)
    ordered = await _order(gateway, first)
    raised = await administer(settings, lambda connection, _: _raise(connection, ordered["order_id"], first.partner_id))
    return replace(world, theirs={**_NOBODYS, **ordered, **raised, **_named(first)})


async def _order(gateway: RunningGateway, first: PartnerCredentials) -> dict[str, Any]:
    """An order of the first partner, placed as it does, under a key; and a cursor of its own list."""
    number, key = f"ISO-{secrets.token_hex(8)}", f"iso-{secrets.token_hex(8)}"
    address = {"name": "A", "street": "B 1", "city": "C", "postal_code": "1", "country": "US"}
    body = {
        "external_number": number,
        "ship_to": address,
        "lines": [{"sku": SKUS[0], "quantity": "1"}],
    }
    async with gateway.client(first.api_key) as client:
        placed = await client.post("/storefront/v1/orders", json=body, headers={"Idempotency-Key": key})
        assert placed.status_code == httpx.codes.CREATED, placed.text
        listed = (await client.get("/storefront/v1/orders", params={"limit": 1})).json()
        items = (await client.get("/storefront/v1/items")).json()["items"]
        events = (await client.get("/storefront/v2/events")).text  # it ends by itself: `stream_seconds`
    item_id = next(each["id"] for each in items if each["sku"] == SKUS[0])
    order_id = placed.json()["id"]
    return {
        "order_id": order_id,
        "order": order_id,
        "reference": order_id,
        "external_number": number,
        "Idempotency-Key": key,
        "cursor": listed["next_cursor"],
        "Last-Event-ID": events.partition("id: ")[2].partition("\n")[0],
        "type": "order.updated",
        "item_id": item_id,
        "item": item_id,
        "items": item_id,
    }


async def _raise(connection: Connection, order_id: str, partner_id: str) -> dict[str, Any]:
    """What only a worker makes: an exception of the order and a message about it; a difference and who found it."""
    exception_id, message_id = new_id("exc"), new_id("msg")
    run_id, finding_id = new_id("run"), new_id("rec")
    entry_id = new_id("xcp")
    await connection.execute(
        "insert into exceptions.entry (entry, tenant, kind, key, error_class, effect, fault_domain, code, detail,"
        " about, rank, count, verbs, raised_at, last_at, seen, state, version)"
        " values ($1, $2, 'order', 'isolated', 'business', 'delays', 'erp', 'erp.down', 'd', $3,"
        " 30, 1, '{retry,ignore}', now(), now(), 1, 'open', 1)",
        *(entry_id, TENANT, order_id),
    )
    await connection.execute(
        "insert into reconciliation.run (run, tenant, what, asked_by, state) values ($1, $2, 'stock', 'test', 'done')",
        *(run_id, TENANT),
    )
    await connection.execute(
        "insert into reconciliation.finding (finding, tenant, run, what, against, scope, class, source, amount, state)"
        " values ($1, $2, $3, 'stock', 'owner', 'snapshot/isolated', 'source_only', 'wms_north', 1, 'open')",
        *(finding_id, TENANT, run_id),
    )
    await connection.execute(
        "insert into order_to_ship.exception"
        " (exception_id, tenant, order_id, class, fault_domain, code, detail, blocking)"
        " values ($1, $2, $3, 'system_down', 'erp', 'erp.down', 'no answer', false)",
        *(exception_id, TENANT, order_id),
    )
    await connection.execute(
        "insert into partner_notifications.message (message, tenant, partner, endpoint, type, subject, event_type,"
        " occurred_at, correlation_id, state)"
        " values ($1, $2, $3, 'whe_1', 'order.shipped', $4, 'order.shipped', now(), 'c', 'delivered')",
        *(message_id, TENANT, partner_id, f"orders/{order_id}"),
    )
    bulk_id = new_id("blk")
    await connection.execute(
        "insert into exceptions.bulk (bulk, tenant, verb, wanted, reason, size, state, planned_by)"
        " values ($1, $2, 'retry', '{}', 'r', 1, 'planned', 'test')",
        *(bulk_id, TENANT),
    )
    transfer_id, change_id, count_id = new_id("trf"), new_id("sch"), new_id("cnt")
    for subject, kind in ((transfer_id, "transfer"), (change_id, "status"), (count_id, "count")):
        await connection.execute(
            "insert into stock_operations.task (subject, tenant, kind, action, fingerprint, state)"
            " values ($1, $2, $3, $1, '', 'waiting')",
            *(subject, TENANT, kind),
        )
    await connection.execute(
        "insert into stock_operations.transfer"
        " (transfer, tenant, origin, destination, asked_by, correlation_id, state)"
        " values ($1, $2, 'north', 'south', 'test', 'c', 'planned')",
        *(transfer_id, TENANT),
    )
    await connection.execute(
        "insert into stock_operations.transfer_line (transfer, line, item, sku, uom, amount)"
        " values ($1, 1, 'itm_isolated', 'ISO', 'EA', 1)",
        transfer_id,
    )
    await connection.execute(
        "insert into stock_operations.status_change (change, tenant, kind, location, item, sku, uom, amount,"
        " from_bucket, to_bucket, reason, asked_by, correlation_id, state)"
        " values ($1, $2, 'hold', 'north', 'itm_isolated', 'ISO', 'EA', 1, 'sellable', 'quality_hold', 'r', 'test',"
        " 'c', 'requested')",
        *(change_id, TENANT),
    )
    await connection.execute(
        "insert into stock_operations.stock_count (count, tenant, location, bucket, reason, asked_by, correlation_id,"
        " state) values ($1, $2, 'north', 'sellable', 'r', 'test', 'c', 'open')",
        *(count_id, TENANT),
    )
    await connection.execute(
        "insert into stock_operations.count_line (count, line, item, sku, uom)"
        " values ($1, 1, 'itm_isolated', 'I', 'EA')",
        count_id,
    )
    await billed(connection, order_id, shipment=new_id("shp"))
    return_id, disposition_id, credit_id = await _come_back(connection, order_id, partner_id)
    purchase_id, supplier_id = await _buy(connection, partner_id)
    customer_id = new_id("cus")
    await connection.execute(
        "insert into customers.customer (tenant, customer, number, attributes, version, changed_at)"
        """ values ($1, $2, 'ISO-NUMBER', '{"name": "N", "parent": "ISO-PARENT"}', 1, now())""",
        *(TENANT, customer_id),
    )
    found = {"finding_id": finding_id, "run_id": run_id, "run": run_id, "customer_id": customer_id,
             "transfer_id": transfer_id, "change_id": change_id,
             "invoice_id": named_id("inv", order_id, "erp", "INV/17 №4"),
             "return_id": return_id, "disposition_id": disposition_id, "credit_id": credit_id,
             "purchase_id": purchase_id, "supplier_id": supplier_id, "supplier": supplier_id,
             "count_id": count_id, "entry_id": entry_id, "bulk_id": bulk_id, "about": order_id}  # fmt: skip
    return {"exception_id": exception_id, "message_id": message_id, **found}


async def _buy(connection: Connection, partner_id: str) -> tuple[str, str]:
    """A purchase order, and its supplier that the partner speaks for."""
    purchase_id, supplier_id = new_id("pur"), new_id("sup")
    await connection.execute(
        "insert into procure_to_pay.supplier (supplier, tenant, name, partner) values ($1, $2, 'isolated', $3)",
        *(supplier_id, TENANT, partner_id),
    )
    await connection.execute(
        "insert into procure_to_pay.purchase (purchase, tenant, source, number, status, currency, epoch, sequence,"
        " supplier, state, approved_at, reported) values ($1, $2, 'erp', 'isolated', 'approved', 'USD', 0, 1, $3,"
        """ 'approved', now(), '{"source": "erp", "number": "isolated", "order_key": {"epoch": 0, "sequence": 1},"""
        """ "status": "approved", "source_supplier": "S", "source_location": "N", "currency": "USD", "lines": []}')""",
        *(purchase_id, TENANT, supplier_id),
    )
    return purchase_id, supplier_id


async def _come_back(connection: Connection, order_id: str, partner_id: str) -> tuple[str, str, str]:
    """A return of the order, with a disposition and a credit that were refused."""
    return_id, disposition_id, credit_id = new_id("ret"), new_id("dsp"), new_id("crd")
    await connection.execute(
        "insert into returns.return_order (return_id, tenant, action, fingerprint, order_id, partner, channel, sold_to,"
        " currency, location, freight, asked_by, correlation_id, state, decision)"
        " values ($1, $2, $1, '', $3, $4, 'web', 'ISO-1', 'USD', 'north', 'buyer', 'test', 'c', 'authorised',"
        " 'authorised')",
        *(return_id, TENANT, order_id, partner_id),
    )
    await connection.execute(
        "insert into returns.return_line (return_id, line, item, sku, uom, unit_price, amount, reason, fee_percent)"
        " values ($1, 1, 'itm_isolated', 'ISO', 'EA', 1, 1, 'damaged', 0)",
        return_id,
    )
    for subject, kind in ((disposition_id, "disposition"), (credit_id, "credit")):
        await connection.execute(
            "insert into returns.task (subject, tenant, kind, action, fingerprint, state)"
            " values ($1, $2, $3, $1, '', 'refused')",
            *(subject, TENANT, kind),
        )
    await connection.execute(
        "insert into returns.disposition (disposition, return_id, tenant, line, item, sku, uom, amount, target,"
        " location, asked_by, correlation_id, state)"
        " values ($1, $2, $3, 1, 'itm_isolated', 'ISO', 'EA', 1, 'sellable', 'north', 'test', 'c', 'refused')",
        *(disposition_id, return_id, TENANT),
    )
    await connection.execute(
        "insert into returns.credit (credit, return_id, tenant, lines, net, fee, state)"
        " values ($1, $2, $3, '[]', 1, 0, 'refused')",
        *(credit_id, return_id, TENANT),
    )
    return return_id, disposition_id, credit_id


def _named(first: PartnerCredentials) -> dict[str, Any]:
    return {
        "account": "ISO-1",
        "sold_to": "ISO-1",
        "code": "ISO-1",
        "PartnerInput.name": "isolated-first",
        "SupplierInput.name": "isolated",
        "partner_id": first.partner_id,
        "partner": first.partner_id,
        "client_id": first.client_id,
        "key_id": first.api_key.split("_")[2],
        "sku": SKUS[0],
        "skus": SKUS[0],
        "plan_name": "isolated",
        "instance": "wms_north",
        "source": "wms_north",
        "location": "NOR1",
        "location_id": "north",
        "below": "north",
        "LocationInput.id": "isolated-site",
        "RuleInput.channel": "isolated",
        "HoldRuleInput.name": "isolated-rule",
        "number": "ISO-NUMBER",
        "parent": "ISO-PARENT",
        "origin": "north",
        "destination": "south",
        "CustomerInput.number": "ISO-ADDED",
        "event_id": "opening",
        "id": "opening",
        "posting": new_id("pst"),
        **_CLAIMS,
        "document": "isolated-document",
    }


def _like(value: Any) -> Any:
    """A value of the same shape that nobody ever had."""
    text = str(value)
    prefix, _, rest = text.partition("_")
    if len(rest) == 26:
        return new_id(prefix)
    if len(text) == 16 and text.isalnum():
        return random_text(10)
    drawn = base64.b32encode(os.urandom(30)).decode().lower()
    # A short one must be no part of a word of the answer, as four letters alone sometimes are.
    return f"g{drawn}"[: len(text)] if len(text) > 4 else f"q7{drawn}"[:4]
