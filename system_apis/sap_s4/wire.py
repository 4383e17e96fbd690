"""S/4HANA's own shapes: OData v2 JSON, and the entities we read, in SAP's names.

Sources: OData v2 JSON format (https://www.odata.org/documentation/odata-version-2-0/json-format/); field names of
API_SALES_ORDER_SRV as in SAP's own model (npm ``@sap/cloud-sdk-vdm-sales-order-service``), of the others as on the SAP
Business Accelerator Hub. Amounts travel as strings; instants as ``/Date(ms)/`` or ``/Date(ms+minutes)/``, where the
minutes only say in which zone SAP would show it; a date is midnight UTC of that day, whatever the zone.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct, field

SALES: Final = "API_SALES_ORDER_SRV"
DELIVERIES: Final = "API_OUTBOUND_DELIVERY_SRV;v=0002"
PRODUCTS: Final = "API_PRODUCT_SRV"
PARTNERS: Final = "API_BUSINESS_PARTNER_SRV"
STOCK: Final = "API_MATERIAL_STOCK_SRV"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DATE: Final = re.compile(r"/Date\((-?\d{1,15})([+-]\d{1,4})?\)/")
_Row = TypeVar("_Row", bound=Struct)


# --- values ---------------------------------------------------------------------------------------------------------


def instant(text: str) -> datetime:
    """An ``Edm.DateTime`` or ``Edm.DateTimeOffset`` of OData v2 JSON, in UTC. Raises `ValueError`."""
    found = _DATE.fullmatch(text)
    if found is None:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    try:
        return _EPOCH + timedelta(milliseconds=int(found[1]))
    except OverflowError as error:
        raise ValueError(f"{text[:40]} is no date") from error


def day(on: date) -> str:
    """A date as SAP takes it."""
    return f"/Date({(on - _EPOCH.date()).days * 86_400_000})/"


def literal(text: str) -> str:
    """A string in a ``$filter`` (OData v2, 4.5): in single quotes, those in it doubled."""
    return "'" + text.replace("'", "''") + "'"


def moment(at: datetime) -> str:
    """An instant in a ``$filter``."""
    return f"datetime'{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}'"


def query(options: dict[str, str]) -> str:
    """The query of a request; blanks as ``%20``, for SAP's gateway does not read ``+`` everywhere."""
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in options.items())


def encode(payload: object) -> bytes:
    """JSON as SAP reads it: a decimal is a string, in plain notation."""
    return json.dumps(payload, default=_decimal, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _decimal(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError(f"OData has no form for {type(value).__name__}")


def decode(body: bytes) -> Any:
    """What stands under ``d``, nulls left out. Raises `ValueError` when it is not OData v2."""
    try:
        answer = json.loads(body, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_without_nulls)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(answer, dict) or "d" not in answer:
        raise ValueError("no member d")
    return answer["d"]


def _without_nulls(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in pairs if value is not None}


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is not a number")


def entity(found: Any, kind: type[_Row]) -> _Row:
    """`found` as `kind`. Raises `ValueError` when SAP's answer lacks what its model promises."""
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        raise ValueError(f"{kind.__name__}: {error}") from error


def results(found: Any) -> list[Any]:
    """The entities of a collection; older gateways leave ``results`` out."""
    rows = found.get("results") if isinstance(found, dict) else found
    if not isinstance(rows, list):
        raise ValueError("no collection")  # noqa: TRY004 - it is what came from outside
    return rows


class Fault(Struct, frozen=True):
    """What SAP says of an error: its message class and number, and the text."""

    code: str
    text: str


def fault(body: bytes) -> Fault | None:
    """The error in `body` (OData v2 JSON), None where there is none that can be read."""
    try:
        told = json.loads(body)["error"]
        message = told["message"]
        text = message["value"] if isinstance(message, dict) else message
        return Fault(str(told.get("code", ""))[:60], str(text)[:300])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


# --- entities -------------------------------------------------------------------------------------------------------


class Metadata(Struct):
    """``__metadata``; an entity that can be changed under a condition has an etag."""

    etag: str = ""


class Item(Struct, rename="pascal"):
    """``A_SalesOrderItem``. `rejection` is what cancels it; `plant` is mock-sap's name of `production_plant`."""

    SERVICE: ClassVar = SALES
    SET: ClassVar = "A_SalesOrderItem"

    sales_order: str
    sales_order_item: str
    requested_quantity: Decimal
    requested_quantity_unit: str = ""
    material: str = ""
    production_plant: str = ""
    plant: str = ""
    rejection: str = field(name="SalesDocumentRjcnReason", default="")
    metadata: Metadata = field(name="__metadata", default_factory=Metadata)


class Items(Struct):
    """``to_Item``, empty where it was not expanded."""

    results: list[Item] = []


class Order(Struct, rename="pascal"):
    """``A_SalesOrder``. `delivery_status`: A not yet delivered, B in part, C whole."""

    SERVICE: ClassVar = SALES
    SET: ClassVar = "A_SalesOrder"

    sales_order: str
    purchase_order_by_customer: str = ""
    sold_to_party: str = ""
    delivery_status: str = field(name="OverallDeliveryStatus", default="")
    items: Items = field(name="to_Item", default_factory=Items)
    metadata: Metadata = field(name="__metadata", default_factory=Metadata)


class DeliveryItem(Struct, rename="pascal"):
    """``A_OutbDeliveryItem``. S/4HANA has `actual_delivery_quantity`; mock-sap calls it `ordered_unit_quantity`."""

    SERVICE: ClassVar = DELIVERIES
    SET: ClassVar = "A_OutbDeliveryItem"

    delivery_document: str
    delivery_document_item: str
    material: str = ""
    plant: str = ""
    reference: str = field(name="ReferenceSDDocument", default="")
    reference_item: str = field(name="ReferenceSDDocumentItem", default="")
    actual_delivery_quantity: Decimal | None = None
    ordered_unit_quantity: Decimal | None = field(name="ActualDeliveredQtyInOrderQtyUnit", default=None)

    @property
    def quantity(self) -> Decimal:
        """How much of the order's item it holds."""
        known = (self.actual_delivery_quantity, self.ordered_unit_quantity)
        return next((amount for amount in known if amount), Decimal(0))


class DeliveryItems(Struct):
    """``to_DeliveryDocumentItem``, empty where it was not expanded."""

    results: list[DeliveryItem] = []


class Delivery(Struct, rename="pascal"):
    """``A_OutbDeliveryHeader``; `external_id` is our posting id. `goods_movement`: A not yet, B in part, C posted."""

    SERVICE: ClassVar = DELIVERIES
    SET: ClassVar = "A_OutbDeliveryHeader"

    delivery_document: str
    external_id: str = field(name="DeliveryDocumentBySupplier", default="")
    goods_movement: str = field(name="OverallGoodsMovementStatus", default="")
    items: DeliveryItems = field(name="to_DeliveryDocumentItem", default_factory=DeliveryItems)
    metadata: Metadata = field(name="__metadata", default_factory=Metadata)


class Description(Struct, rename="pascal"):
    """``A_ProductDescription``."""

    language: str
    product_description: str = ""


class Descriptions(Struct):
    """``to_Description``."""

    results: list[Description] = []


class Product(Struct, rename="pascal"):
    """``A_Product``; `product` is the material's number, which people use."""

    SERVICE: ClassVar = PRODUCTS
    SET: ClassVar = "A_Product"

    product: str
    base_unit: str = ""
    product_group: str = ""
    is_marked_for_deletion: bool = False
    descriptions: Descriptions = field(name="to_Description", default_factory=Descriptions)


class Alternative(Struct, rename="pascal"):
    """``A_ProductUnitsOfMeasure``: `quantity_denominator` of the unit are `quantity_numerator` base units."""

    SERVICE: ClassVar = PRODUCTS
    SET: ClassVar = "A_ProductUnitsOfMeasure"

    product: str
    alternative_unit: str
    quantity_numerator: Decimal
    quantity_denominator: Decimal


class Stock(Struct, rename="pascal"):
    """``A_MatlStkInAcctMod``: stock of a material in one storage location, batch, special stock and stock type."""

    SERVICE: ClassVar = STOCK
    SET: ClassVar = "A_MatlStkInAcctMod"

    material: str
    plant: str
    storage_location: str = ""
    batch: str = ""
    stock_type: str = field(name="InventoryStockType", default="")
    special: str = field(name="InventorySpecialStockType", default="")
    material_base_unit: str = ""
    quantity: Decimal = field(name="MatlWrhsStkQtyInMatlBaseUnit", default=Decimal(0))


class Address(Struct, rename="pascal"):
    """``A_BusinessPartnerAddress``."""

    address_id: str = field(name="AddressID", default="")
    street_name: str = ""
    house_number: str = ""
    city_name: str = ""
    postal_code: str = ""
    country: str = ""


class Addresses(Struct):
    """``to_BusinessPartnerAddress``."""

    results: list[Address] = []


class Partner(Struct, rename="pascal"):
    """``A_BusinessPartner``; `customer` is empty where it is none."""

    SERVICE: ClassVar = PARTNERS
    SET: ClassVar = "A_BusinessPartner"

    business_partner: str
    customer: str = ""
    business_partner_full_name: str = ""
    business_partner_name: str = ""
    blocked: bool = field(name="BusinessPartnerIsBlocked", default=False)
    addresses: Addresses = field(name="to_BusinessPartnerAddress", default_factory=Addresses)


class SalesArea(Struct, rename="pascal"):
    """``A_CustomerSalesArea``: what holds for a customer in one sales area; a block stops its orders."""

    SERVICE: ClassVar = PARTNERS
    SET: ClassVar = "A_CustomerSalesArea"

    customer: str
    customer_payment_terms: str = ""
    order_is_blocked_for_customer: str = ""
