"""The demo distributor, written into an empty Tryton over JSON-RPC: company, books, parties, items, warehouses, stock.

Every step is an ordinary call that a person could make in Tryton's own client; wizards are run through
``wizard.<name>.create`` and ``execute``. Constants here are what tests and plays may rely on.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gateway.canonical.capabilities import Call
    from system_apis.tryton.client import Client

INTEGRATION_USER: Final = "crossdock"
UNITS: Final[Mapping[str, str]] = {"cs6": "CS", "cs12": "CS", "cs24": "CS"}
WAREHOUSES: Final = (("WH-N", "North DC"), ("WH-W", "West DC"))
ODD_SKUS: Final = ("A/B-100", "C#-200", "BOLT M8 X 40", "GRÖßE-Ü-300")
SKUS: Final = (*(f"SKU-{number:04d}" for number in range(200)), *ODD_SKUS)
ONE_LEFT: Final = "SKU-0001"
NONE_WEST: Final = tuple(f"SKU-{number:04d}" for number in range(190, 195))
NONE_ANYWHERE: Final = tuple(f"SKU-{number:04d}" for number in range(195, 200))
BY_WEIGHT: Final = tuple(f"SKU-{number:04d}" for number in range(180, 185))
FOREIGN_DEMAND: Final = ("SKU-0150", Decimal(7), "WH-N")
"""One open sale that a person entered: (SKU, quantity, warehouse)."""

PURCHASES: Final = (
    (
        "SUP1",
        "WH-N",
        (("SKU-0003", "cs12", Decimal(10), Decimal("57.00")), ("SKU-0182", "kg", Decimal("2.5"), Decimal("9.5"))),
        True,
    ),
    ("SUP2", "WH-W", (("SKU-0004", "cs24", Decimal(5), Decimal("120.00")),), True),
    ("SUP3", "WH-N", (("SKU-0195", "cs12", Decimal(8), Decimal("50.00")),), True),
    ("SUP3", "WH-N", (("SKU-0196", "cs24", Decimal(3), Decimal("99.00")),), False),
)
"""Purchase orders by supplier and warehouse: lines of (SKU, unit, quantity, price), whether it was approved."""

_GROUPS: Final = (
    "Sales",
    "Sales Administrator",
    "Purchase",
    "Stock",
    "Stock Force Assignment",
    "Party Administration",
    "Accounting",
)
_COUNTRIES: Final = (
    ("United States", "US"), ("Canada", "CA"), ("Mexico", "MX"), ("United Kingdom", "GB"),
    ("Germany", "DE"), ("France", "FR"), ("Netherlands", "NL"),
)  # fmt: skip
_CUSTOMERS: Final = (
    ("CUST1", "Retail Partner", "Net 30", Decimal(1000000), None),
    ("CUST2", "Harbor Supply", "Net 60", Decimal(250000), None),
    ("CUST3", "Corner Store", "Immediate", None, None),
    ("CUST4", "Small Limit Ltd", "Net 30", Decimal(500), None),
    ("CUST5", "Paused Trading", "Net 30", Decimal(10000), "Credit hold"),
)
_SUPPLIERS: Final = (("SUP1", "Acme Supply"), ("SUP2", "Borealis Parts"), ("SUP3", "Cascade Imports"))
_OWED_BY_CUST4: Final = Decimal("120.50")


class _Books:
    """Makes records and remembers their ids."""

    def __init__(self, client: Client, call: Call) -> None:
        self.client = client
        self.call = call
        self.context: dict[str, object] = {}

    async def make(self, model: str, *records: Mapping[str, object]) -> list[int]:
        made = await self.client.write(self.call, f"model.{model}.create", list(records), context=self.context)
        return [int(number) for number in made]

    async def find(self, model: str, domain: Sequence[object]) -> int:
        found = await self.client.read(self.call, f"model.{model}.search", domain, 0, 1, None, context=self.context)
        return int(found[0])

    async def set(self, model: str, record: int, values: Mapping[str, object]) -> None:
        await self.client.write(self.call, f"model.{model}.write", [record], values, context=self.context)

    async def press(self, model: str, button: str, *records: int) -> Any:
        return await self.client.write(self.call, f"model.{model}.{button}", list(records), context=self.context)

    async def wizard(self, name: str, *steps: tuple[str, Mapping[str, object]]) -> None:
        session, *_ = await self.client.write(self.call, f"wizard.{name}.create", context=self.context)
        for state, data in steps:
            await self.client.write(self.call, f"wizard.{name}.execute", session, data, state, context=self.context)
        await self.client.write(self.call, f"wizard.{name}.delete", session, context=self.context)


async def fill(client: Client, call: Call, *, password: str, progress: Callable[[str], None]) -> None:
    """Fill the empty database that `client`, its administrator, is logged into."""
    books = _Books(client, call)
    progress("filling Tryton: company and books")
    currency = await _company(books)
    accounts = await _chart(books)
    await _fiscal_years(books)
    progress("filling Tryton: parties")
    suppliers = await _parties(books)
    progress("filling Tryton: units, items, warehouses, stock")
    warehouses = await _warehouses(books)
    products = await _products(books, accounts, suppliers, currency)
    await _opening_stock(books, products, warehouses)
    await _open_matters(books, accounts, currency, products, warehouses)
    await _buy(books, currency, products, warehouses)
    await _integration_user(books, password)


async def _company(books: _Books) -> int:
    (currency,) = await books.make(
        "currency.currency",
        {
            "name": "US Dollar", "code": "USD", "symbol": "$", "rounding": Decimal("0.01"), "digits": 2,
            "rates": [("create", [{"date": date(2000, 1, 1), "rate": Decimal(1)}])],
        },
    )  # fmt: skip
    await books.make("country.country", *({"name": name, "code": code} for name, code in _COUNTRIES))
    (party,) = await books.make("party.party", {"name": "Crossdock Demo Distribution", "code": "COMPANY"})
    await books.wizard(
        "company.company.config", ("company", {}), ("add", {"company": {"party": party, "currency": currency}})
    )
    company = await books.find("company.company", [])
    books.context = {"company": company}
    return currency


async def _chart(books: _Books) -> dict[str, int]:
    template = await books.find("account.account.template", [("parent", "=", None)])
    company = books.context["company"]
    session, *_ = await books.client.write(books.call, "wizard.account.create_chart.create", context=books.context)
    execute = "wizard.account.create_chart.execute"
    chart = {"account": {"company": company, "account_template": template}}
    await books.client.write(books.call, execute, session, chart, "create_account", context=books.context)
    accounts = {
        kind: await books.find("account.account", [(f"type.{kind}", "=", True), ("closed", "!=", True)])
        for kind in ("receivable", "payable", "revenue", "expense")
    }
    properties = {
        "company": company,
        "account_receivable": accounts["receivable"],
        "account_payable": accounts["payable"],
        "category_account_revenue": accounts["revenue"],
        "category_account_expense": accounts["expense"],
    }
    step = {"properties": properties}
    await books.client.write(books.call, execute, session, step, "create_properties", context=books.context)
    return accounts


async def _fiscal_years(books: _Books) -> None:
    company = books.context["company"]
    this_year = datetime.now(UTC).year
    move_type = await books.find("ir.sequence.type", [("name", "=", "Account Move")])
    invoice_type = await books.find("ir.sequence.type", [("name", "=", "Invoice")])
    for year in range(this_year - 1, this_year + 3):
        moves, invoices = await books.make(
            "ir.sequence.strict",
            {"name": f"Moves {year}", "sequence_type": move_type, "company": company, "prefix": f"{year}-"},
            {"name": f"Invoices {year}", "sequence_type": invoice_type, "company": company, "prefix": f"{year}-"},
        )
        kinds = ("out_invoice_sequence", "in_invoice_sequence", "out_credit_note_sequence", "in_credit_note_sequence")
        (fiscal_year,) = await books.make(
            "account.fiscalyear",
            {
                "name": str(year), "company": company, "start_date": date(year, 1, 1), "end_date": date(year, 12, 31),
                "move_sequence": moves,
                "invoice_sequences": [("create", [{"company": company, **dict.fromkeys(kinds, invoices)}])],
            },
        )  # fmt: skip
        await books.press("account.fiscalyear", "create_period", fiscal_year)


async def _parties(books: _Books) -> list[int]:
    country = await books.find("country.country", [("code", "=", "US")])
    terms = {}
    for name, days in (("Immediate", 0), ("Net 30", 30), ("Net 60", 60)):
        line = {"type": "remainder", "relativedeltas": [("create", [{"days": days}])]}
        (terms[name],) = await books.make("account.invoice.payment_term", {"name": name, "lines": [("create", [line])]})
    (hold,) = await books.make("party.category", {"name": "Credit hold"})

    def address(number: int) -> list[object]:
        place = {"street": f"{number} Main Street", "city": "Springfield", "postal_code": "62701", "country": country}
        return [("create", [place])]

    await books.make(
        "party.party",
        *(
            {
                "name": name, "code": code, "customer_payment_term": terms[term], "credit_limit_amount": limit,
                "addresses": address(number), "categories": [("add", [hold] if category else [])],
            }
            for number, (code, name, term, limit, category) in enumerate(_CUSTOMERS, start=1)
        ),
    )  # fmt: skip
    return await books.make(
        "party.party",
        *(
            {"name": name, "code": code, "addresses": address(number), "supplier_payment_term": terms["Net 30"]}
            for number, (code, name) in enumerate(_SUPPLIERS, start=101)
        ),
    )


async def _warehouses(books: _Books) -> dict[str, int]:
    (north, north_name), (west, west_name) = WAREHOUSES
    first = await books.find("stock.location", [("type", "=", "warehouse")])
    await books.set("stock.location", first, {"code": north, "name": north_name})
    lost = await books.find("stock.location", [("type", "=", "lost_found")])
    zones = await books.make(
        "stock.location",
        *(
            {"name": f"{west_name} {zone}", "code": f"{west}-{zone[:3].upper()}", "type": "storage"}
            for zone in ("Input", "Output", "Storage")
        ),
    )
    names = ("input_location", "output_location", "storage_location")
    (second,) = await books.make(
        "stock.location",
        {
            "name": west_name,
            "code": west,
            "type": "warehouse",
            "lost_found_location": lost,
            **dict(zip(names, zones, strict=True)),
        },
    )  # fmt: skip
    return {north: first, west: second}


async def _units(books: _Books) -> dict[str, int]:
    unit = await books.find("product.uom", [("name", "=", "Unit")])
    category = (
        await books.client.search_read(books.call, "product.uom", [("id", "=", unit)], ["category"], context={})
    )[0]
    cases = await books.make(
        "product.uom",
        *(
            {
                "name": f"Case of {size}", "symbol": f"cs{size}", "category": category["category"],
                "factor": float(size), "rate": round(1 / size, 12), "rounding": 1.0, "digits": 0,
            }
            for size in (6, 12, 24)
        ),
    )  # fmt: skip
    kilogram = await books.find("product.uom", [("symbol", "=", "kg")])
    return {"u": unit, "kg": kilogram, **dict(zip(("cs6", "cs12", "cs24"), cases, strict=True))}


async def _products(
    books: _Books, accounts: Mapping[str, int], suppliers: Sequence[int], currency: int
) -> dict[str, int]:
    units = await _units(books)
    (category,) = await books.make(
        "product.category",
        {
            "name": "Goods", "accounting": True,
            "account_revenue": accounts["revenue"], "account_expense": accounts["expense"],
        },
    )  # fmt: skip

    def template(number: int, sku: str) -> dict[str, object]:
        base = "kg" if sku in BY_WEIGHT else "u"
        pack = "kg" if sku in BY_WEIGHT else ("cs12", "cs24", "cs6")[number % 3]
        cost = Decimal("4.00") + Decimal(number % 17) / 4
        source = {"party": suppliers[number % 3], "code": f"V-{number:04d}", "currency": currency}
        source["prices"] = [("create", [{"quantity": 0.0, "unit_price": cost}])]
        return {
            "name": f"Widget {number}", "code": sku, "type": "goods", "salable": True, "purchasable": True,
            "default_uom": units[base], "sale_uom": units[base], "purchase_uom": units[pack],
            "list_price": Decimal("9.95") + Decimal(number % 40) / 4, "account_category": category,
            "cost_price_method": "fixed", "products": [("create", [{"cost_price": cost}])],
            "product_suppliers": [("create", [source])],
        }  # fmt: skip

    for start in range(0, len(SKUS), 50):
        await books.make(
            "product.template", *(template(n, sku) for n, sku in enumerate(SKUS[start : start + 50], start=start))
        )
    rows = await books.client.search_read(books.call, "product.product", [], ["code"], context=books.context)
    return {row["code"]: row["id"] for row in rows}


def opening_stock(sku: str, warehouse: str) -> Decimal:
    """What the demo starts with, in the item's base unit."""
    if sku == ONE_LEFT:
        return Decimal(1 if warehouse == "WH-N" else 0)
    if sku in NONE_ANYWHERE or (sku in NONE_WEST and warehouse == "WH-W"):
        return Decimal(0)
    return Decimal(100 if warehouse == "WH-N" else 40)


async def _opening_stock(books: _Books, products: Mapping[str, int], warehouses: Mapping[str, int]) -> None:
    for code, warehouse in warehouses.items():
        rows = await books.client.search_read(
            books.call, "stock.location", [("id", "=", warehouse)], ["storage_location"], context={}
        )
        lines = [{"product": products[sku], "quantity": float(opening_stock(sku, code))} for sku in SKUS]
        (inventory,) = await books.make(
            "stock.inventory",
            {
                "location": rows[0]["storage_location"], "company": books.context["company"],
                "lines": [("create", lines)],
            },
        )  # fmt: skip
        await books.press("stock.inventory", "confirm", inventory)


async def _open_matters(
    books: _Books,
    accounts: Mapping[str, int],
    currency: int,
    products: Mapping[str, int],
    warehouses: Mapping[str, int],
) -> None:
    """Invoices by shipment, an open balance of CUST4, and a sale that a person entered."""
    await books.client.write(
        books.call, "model.sale.configuration.write", [1],
        {"sale_invoice_method": "fulfillment", "sale_shipment_method": "order", "sale_wait_shipment": True},
        context=books.context,
    )  # fmt: skip
    debtor = await books.find("party.party", [("code", "=", "CUST4")])
    journal = await books.find("account.journal", [("type", "=", "revenue")])
    (invoice,) = await books.make(
        "account.invoice",
        {
            "type": "out", "party": debtor, "company": books.context["company"], "currency": currency,
            "invoice_address": await books.find("party.address", [("party", "=", debtor)]), "journal": journal,
            "account": accounts["receivable"], "invoice_date": datetime.now(UTC).date(),
            "payment_term": await books.find("account.invoice.payment_term", [("name", "=", "Net 30")]),
            "lines": [("create", [{
                "type": "line", "account": accounts["revenue"], "quantity": 1.0, "unit_price": _OWED_BY_CUST4,
                "currency": currency, "description": "Carried forward", "company": books.context["company"],
            }])],
        },
    )  # fmt: skip
    await books.press("account.invoice", "post", invoice)
    sku, quantity, warehouse = FOREIGN_DEMAND
    buyer = await books.find("party.party", [("code", "=", "CUST2")])
    address = await books.find("party.address", [("party", "=", buyer)])
    line = {"product": products[sku], "quantity": float(quantity), "unit_price": Decimal("9.00")}
    line["unit"] = await books.find("product.uom", [("name", "=", "Unit")])
    (sale,) = await books.make(
        "sale.sale",
        {
            "party": buyer, "reference": "PHONE-17", "company": books.context["company"], "currency": currency,
            "invoice_address": address, "shipment_address": address, "warehouse": warehouses[warehouse],
            "invoice_method": "fulfillment", "shipment_method": "order", "lines": [("create", [line])],
        },
    )  # fmt: skip
    for button in ("quote", "confirm"):
        await books.press("sale.sale", button, sale)


async def _buy(books: _Books, currency: int, products: Mapping[str, int], warehouses: Mapping[str, int]) -> None:
    """Purchase orders, billed by what comes in; all but the last are approved. Their lines are asked for next year."""
    asked = date(datetime.now(UTC).year + 1, 3, 1)
    for supplier, warehouse, lines, approved in PURCHASES:
        party = await books.find("party.party", [("code", "=", supplier)])
        wanted = [
            {
                "product": products[sku], "unit": await books.find("product.uom", [("symbol", "=", unit)]),
                "quantity": float(quantity), "unit_price": price, "delivery_date_edit": True,
                "delivery_date_store": asked,
            }
            for sku, unit, quantity, price in lines
        ]  # fmt: skip
        (purchase,) = await books.make(
            "purchase.purchase",
            {
                "party": party, "company": books.context["company"], "currency": currency,
                "invoice_address": await books.find("party.address", [("party", "=", party)]),
                "warehouse": warehouses[warehouse], "invoice_method": "fulfillment",
                "lines": [("create", wanted)],
            },
        )  # fmt: skip
        for button in ("quote", "confirm", "process") if approved else ():
            await books.press("purchase.purchase", button, purchase)


async def _integration_user(books: _Books, password: str) -> None:
    groups = [await books.find("res.group", [("name", "=", name)]) for name in _GROUPS]
    company = books.context["company"]
    await books.make(
        "res.user",
        {
            "name": "Crossdock", "login": INTEGRATION_USER, "password": password, "groups": [("add", groups)],
            "companies": [("add", [company])], "company": company,
        },
    )  # fmt: skip
