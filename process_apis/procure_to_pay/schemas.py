"""The shapes of purchasing on the wire. Amounts are exact decimals, as strings.

What stands of a line (`standing`) is in base units of its item; what a supplier says is in the line's own unit.
"""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

from gateway.canonical.purchase import (
    AckLine,
    Acknowledgement,
    BilledLine,
    BillState,
    NoticeLine,
    ShipNotice,
    SupplierInvoice,
)
from gateway.kernel.quantity import plain
from process_apis.procure_to_pay.models import Decision, LineClosure, LineStanding, Purchase, SentBack
from process_apis.procure_to_pay.suppliers import Supplier

Amount = Annotated[str, Meta(pattern=r"^(?=[0-9.]*[1-9])[0-9]{1,24}(\.[0-9]{1,12})?$(?!\n)", examples=["12", "0.5"])]
Price = Annotated[str, Meta(pattern=r"^[0-9]{1,15}(\.[0-9]{1,8})?$(?!\n)", examples=["24.50"])]
Figure = Annotated[str, Meta(pattern=r"^-?[0-9]+(\.[0-9]+)?$(?!\n)", examples=["12"])]
Text = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)", examples=["A-17"])]
Code = Annotated[str, Meta(min_length=2, max_length=2, pattern=r"^[A-Z0-9]{2}$(?!\n)", examples=["IA"])]
Currency = Annotated[str, Meta(min_length=3, max_length=3, pattern=r"^[A-Z]{3}$(?!\n)", examples=["USD"])]
Sscc = Annotated[str, Meta(min_length=18, max_length=18, pattern=r"^[0-9]{18}$(?!\n)")]
LineNumber = Annotated[int, Meta(ge=1, le=9_999_999)]
Sequence = Annotated[int, Meta(ge=0, le=2**53)]


class AckLineInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What the supplier says of `amount` of a line, in the line's unit; `code` is one of X12 element 668."""

    line: LineNumber
    code: Code
    amount: Amount
    on: date | None = None
    unit_price: Price | None = None
    substitute: Text | None = None
    text: Text | None = None


class AcknowledgementInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """An answer under the supplier's own `number`; of each line the answer with the highest `sequence` holds."""

    number: Text
    sequence: Sequence = 0
    lines: Annotated[list[AckLineInput], Meta(min_length=1, max_length=500)]

    def said(self) -> Acknowledgement:
        """As the process takes it."""
        return Acknowledgement(
            number=self.number,
            sequence=self.sequence,
            lines=tuple(
                AckLine(
                    line=line.line,
                    code=line.code,
                    amount=Decimal(line.amount),
                    on=line.on,
                    unit_price=None if line.unit_price is None else Decimal(line.unit_price),
                    substitute=line.substitute,
                    text=line.text,
                )
                for line in self.lines
            ),
        )


class NoticeLineInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """How much of a line is on its way, in the line's unit."""

    line: LineNumber
    amount: Amount
    lot: Text | None = None
    sscc: Sscc | None = None


class ShipNoticeInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is on its way; the same `number` with a higher `sequence` replaces it, and without lines takes it back."""

    number: Text
    sequence: Sequence = 0
    expected: date
    shipped: date | None = None
    carrier: Text | None = None
    tracking: Text | None = None
    lines: Annotated[list[NoticeLineInput], Meta(max_length=500)]

    def said(self) -> ShipNotice:
        """As the process takes it."""
        return ShipNotice(
            number=self.number,
            sequence=self.sequence,
            expected=self.expected,
            shipped=self.shipped,
            carrier=self.carrier,
            tracking=self.tracking,
            lines=tuple(
                NoticeLine(line=line.line, amount=Decimal(line.amount), lot=line.lot, sscc=line.sscc)
                for line in self.lines
            ),
        )


class BilledLineInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is billed of a line: in the line's unit, at the price per that unit."""

    line: LineNumber
    amount: Amount
    unit_price: Price


class InvoiceInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """A supplier's invoice over this order. Its number is used once, for ever."""

    number: Text
    invoiced: date
    currency: Currency
    lines: Annotated[list[BilledLineInput], Meta(min_length=1, max_length=500)]

    def said(self) -> SupplierInvoice:
        """As the process takes it."""
        return SupplierInvoice(
            number=self.number,
            invoiced=self.invoiced,
            currency=self.currency,
            lines=tuple(
                BilledLine(line=line.line, amount=Decimal(line.amount), unit_price=Decimal(line.unit_price))
                for line in self.lines
            ),
        )


class DecisionInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What a buyer decides of one of the `needs` of an order, named by its `key`."""

    subject: Text
    accept: bool
    reason: Text

    def said(self) -> Decision:
        """As the process takes it."""
        return Decision(subject=self.subject, accept=self.accept, reason=self.reason)


class ClosureInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is open of `line` will not come."""

    line: LineNumber
    reason: Text

    def said(self) -> LineClosure:
        """As the process takes it."""
        return LineClosure(line=self.line, reason=self.reason)


class SentBackInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """Goods of a line that went back to the supplier, in the line's unit; `number` names the return."""

    number: Text
    line: LineNumber
    amount: Amount
    reason: Text

    def said(self) -> SentBack:
        """As the process takes it."""
        return SentBack(number=self.number, line=self.line, amount=Decimal(self.amount), reason=self.reason)


class StandingView(Struct, kw_only=True):
    """In base units: ordered = open + rejected + cancelled + (received - over). `accepted` may be billed."""

    ordered: Figure
    acknowledged: Figure
    rejected: Figure
    cancelled: Figure
    advised: Figure
    received: Figure
    over: Figure
    sent_back: Figure
    accepted: Figure
    open: Figure
    invoiced: Figure
    matched: Figure
    expected: date | None


class PurchaseLineView(Struct, kw_only=True):
    """One line: `amount` of `uom`, each of which is `factor` base units, at `unit_price` per `uom`."""

    line: int
    item: str
    sku: str
    amount: Figure
    uom: str
    factor: Figure
    base_uom: str
    unit_price: Figure
    requested: date | None
    standing: StandingView | None


class PurchaseNeedView(Struct, kw_only=True):
    """What a person should decide: accept or refuse it by its `key`."""

    key: str
    code: str
    detail: str
    raised_at: datetime


class SupplierInvoiceView(Struct, kw_only=True):
    """What became of an invoice; `erp_state` is how far it is in the ERP's books, as far as that tells."""

    number: str
    verdict: str
    reasons: list[str]
    detail: str
    erp_state: BillState | None = None


class PurchaseView(Struct, kw_only=True):
    """A purchase order and where it stands. With a `cause` it waits for a mapping."""

    id: str
    source: str
    number: str
    state: str
    status: str
    supplier: str | None
    location: str | None
    currency: str
    version: int
    test: bool
    cause: str | None
    detail: str | None
    lines: list[PurchaseLineView]
    needs: list[PurchaseNeedView]
    invoices: list[SupplierInvoiceView]
    approved_at: datetime | None
    acknowledged_at: datetime | None
    received_at: datetime | None
    matched_at: datetime | None
    changed_at: datetime


class PurchasePage(Struct, kw_only=True):
    """A page of purchase orders, the newest first."""

    items: list[PurchaseView]
    next_cursor: str | None


def purchase_view(purchase: Purchase) -> PurchaseView:
    """A purchase as purchasing sees it."""
    standing = {} if purchase.standing is None else {each.line: each for each in purchase.standing.lines}
    invoices = () if purchase.standing is None else purchase.standing.invoices
    return PurchaseView(
        id=purchase.purchase,
        source=purchase.source,
        number=purchase.number,
        state=purchase.state,
        status=purchase.status,
        supplier=purchase.supplier,
        location=purchase.location,
        currency=purchase.currency,
        version=purchase.version,
        test=purchase.test,
        cause=purchase.cause,
        detail=purchase.detail,
        lines=[
            PurchaseLineView(
                line=line.line,
                item=line.item,
                sku=line.sku,
                amount=plain(line.amount),
                uom=line.uom,
                factor=plain(line.factor),
                base_uom=line.base_uom,
                unit_price=plain(line.unit_price),
                requested=line.requested,
                standing=_standing(standing.get(line.line)),
            )
            for line in purchase.lines
        ],
        needs=[
            PurchaseNeedView(key=each.need.key, code=each.need.code, detail=each.need.detail, raised_at=each.raised_at)
            for each in purchase.needs
        ],
        invoices=[
            SupplierInvoiceView(
                number=each.number,
                verdict=each.verdict,
                reasons=list(each.reasons),
                detail=each.detail,
                erp_state=each.erp,
            )
            for each in invoices
        ],
        approved_at=purchase.approved_at,
        acknowledged_at=purchase.acknowledged_at,
        received_at=purchase.received_at,
        matched_at=purchase.matched_at,
        changed_at=purchase.changed_at,
    )


def _standing(line: LineStanding | None) -> StandingView | None:
    if line is None:
        return None
    return StandingView(
        ordered=plain(line.ordered),
        acknowledged=plain(line.acknowledged),
        rejected=plain(line.rejected),
        cancelled=plain(line.cancelled),
        advised=plain(line.advised),
        received=plain(line.received),
        over=plain(line.over),
        sent_back=plain(line.sent_back),
        accepted=plain(line.accepted),
        open=plain(line.open),
        invoiced=plain(line.invoiced),
        matched=plain(line.matched),
        expected=line.expected,
    )


class SupplierInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """A supplier to be made known: what systems call it (`codes`, by system) and which partner speaks for it."""

    name: Text
    codes: Annotated[dict[Text, Text], Meta(max_length=50)]
    partner: Text | None = None


class SupplierChangeInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """More of what systems call it, or another partner that speaks for it."""

    codes: Annotated[dict[Text, Text], Meta(max_length=50)] | None = None
    partner: Text | None = None


class StepInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """A step of onboarding that is done. The last one, the test order, is done by acknowledging it."""

    step: Literal["documents", "terms"]
    note: Text | None = None


class SuspensionInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """Whether new orders go out to it; `reason` is kept in the audit trail."""

    suspended: bool
    reason: Text


class StepView(Struct, kw_only=True):
    """One step that is done, by whom and when."""

    step: str
    by: str
    at: datetime
    note: str | None


class SupplierView(Struct, kw_only=True):
    """A supplier; `missing` are the steps still to be done before orders go out to it, in their order."""

    id: str
    name: str
    state: str
    partner: str | None
    codes: Mapping[str, str]
    steps: list[StepView]
    missing: list[str]
    version: int


class SupplierPage(Struct, kw_only=True):
    """A page of suppliers, the eldest first."""

    items: list[SupplierView]
    next_cursor: str | None


def supplier_view(supplier: Supplier) -> SupplierView:
    """A supplier as purchasing sees it."""
    return SupplierView(
        id=supplier.supplier,
        name=supplier.name,
        state=supplier.state,
        partner=supplier.partner,
        codes=supplier.codes,
        steps=[StepView(step=each.step, by=each.by, at=each.at, note=each.note) for each in supplier.steps],
        missing=list(supplier.missing),
        version=supplier.version,
    )
