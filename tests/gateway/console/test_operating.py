"""The page of stock operations: what is open, what a person should do, and who may do it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from gateway.canonical.task import Task, TaskState
from gateway.kernel.errors import Conflict, NotAllowed
from process_apis.stock_operations.count_rules import needs_of_count
from process_apis.stock_operations.models import (
    BinFigure,
    ChangeState,
    CountLine,
    CountState,
    Moved,
    StatusChange,
    StockCount,
    SuggestedLot,
    Transfer,
    TransferLine,
    TransferState,
)
from process_apis.stock_operations.rules import needs_of, needs_of_change

from .conftest import Console

pytestmark = pytest.mark.integration
AT = datetime(2026, 11, 1, 9, tzinfo=UTC)


def task(subject, kind, state, **more):
    return Task(subject=subject, tenant="acme", kind=kind, system="wms_north", state=state, **more)


ON_ITS_WAY = Transfer(
    transfer="trf_1", tenant="acme", origin="north", destination="west<1>", asked_by="planner", correlation_id="c",
    version=3, created_at=AT, changed_at=AT, dispatched_at=AT, expected_on=AT.date(), state=TransferState.IN_TRANSIT,
    task=task("trf_1", "transfer", TaskState.DONE, number="SO-7"),
    lines=(
        TransferLine(line=1, item="i", sku="PUMP", uom="EA", amount=Decimal(5), dispatched=Decimal(5), lot="L-7",
                     expires_on=AT.date()),
        TransferLine(line=2, item="j", sku="HOSE", uom="M", amount=Decimal(8),
                     suggested=(SuggestedLot(lot="L-9", amount=Decimal(8)),)),
        TransferLine(line=3, item="k", sku="SEAL", uom="EA", amount=Decimal(1), closed_at=AT, closed_by="anna",
                     close_reason="never picked", missing="at_origin"),
    ),
    moved=(Moved(item="i", lot="L-7", dispatched=Decimal(5)),),
)  # fmt: skip
REFUSED = StatusChange(
    change="sch_1", tenant="acme", kind="damage", location="north", item="i", sku="VALVE", uom="EA", amount=Decimal(2),
    from_bucket="sellable", to_bucket="damaged", reason="dropped", asked_by="app", correlation_id="c", version=2,
    created_at=AT, changed_at=AT, state=ChangeState.REFUSED,
    task=task("sch_1", "status", TaskState.REFUSED, error_code="wms.short", error_detail="not so much"),
)  # fmt: skip


OFF = StockCount(
    count="cnt_1", tenant="acme", location="north", bucket="sellable", reason="weekly", asked_by="app",
    correlation_id="c", version=3, created_at=AT, changed_at=AT, counted_at=AT, counted_by="carl", round=2,
    state=CountState.TO_APPROVE, task=task("cnt_1", "count", TaskState.WAITING),
    lines=(CountLine(line=1, item="i", sku="GASKET", uom="EA", counted=Decimal(7), expected=Decimal(9),
                     variance=Decimal(-2), lot="L-3", unknown_lot=True,
                     bins=(BinFigure(bin="A-7", amount=Decimal(7)),)),),
)  # fmt: skip


class Asked:
    """Stands where stock operations are: shows what is open and remembers what it was asked."""

    def __init__(self):
        self.asked = []
        self.transfers = self.Transfers(self)
        self.changes = self.Changes(self)
        self.counts = self.Counts(self)

    def needs(self, subject, today):
        if isinstance(subject, StockCount):
            return needs_of_count(subject)
        return needs_of(subject, today) if isinstance(subject, Transfer) else needs_of_change(subject)

    class Transfers:
        def __init__(self, whole):
            self.whole = whole

        async def listed(self, tenant, *, open_only, limit):
            return [ON_ITS_WAY] if (tenant, open_only) == ("acme", True) and limit else []

        async def release(self, caller, transfer):
            self.whole.asked.append(("release", caller.principal.subject, transfer))

        async def cancel(self, caller, transfer, *, reason):
            raise Conflict("goods have left", code="transfer.not_cancellable")

        async def close(self, caller, transfer, *, reason, missing, lines):
            self.whole.asked.append(("close", caller.principal.subject, transfer, reason, missing, lines))

    class Changes(Transfers):
        async def listed(self, tenant, *, open_only, limit):
            return [REFUSED] if open_only and limit else []

        async def retry(self, caller, change):
            self.whole.asked.append(("retry", caller.principal.subject, change))

    class Counts(Transfers):
        async def listed(self, tenant, *, open_only, limit):
            return [OFF] if open_only and limit else []

        async def approve(self, caller, count, *, reason):
            self.whole.asked.append(("approve", caller.principal.subject, count, reason))

        async def reject(self, caller, count, *, reason):
            raise NotAllowed("ask a second one", code="count.second_person")


class Operating(Console):
    """The console with operations."""

    def made(self, **more):
        self.operations = Asked()
        return super().made(operations=self.operations, **more)


@pytest.fixture
async def desk(store):
    return Operating(store)


async def test_what_is_open_is_shown_with_what_to_do_and_as_text(desk):
    client, _ = await desk.person("view")
    async with client:
        page = (await client.get("/operations")).text
    assert all(
        text in page
        for text in ("PUMP", "in transit", "SO-7", "transfer.overdue", "VALVE", "not so much", "GASKET", "off by")
    )
    assert all(
        text in page
        for text in ("lot L-7 (until 2026-11-01)", "of lot L-9", "L-7 5 left", "never picked", "A-7: 7", "lot L-3 <b>")
    )
    assert "west<1>" not in page
    assert "<button" not in page.partition("<main")[2]


async def test_buttons_belong_to_their_roles(desk):
    viewer, token = await desk.person("view")
    async with viewer:
        for address in ("transfers/trf_1/release", "closures/trf_1", "changes/sch_1/retry"):
            refused = await viewer.post(f"/operations/{address}", data={"csrf_token": token, "reason": "r"})
            assert refused.status_code == 403
    client, token = await desk.person("view", "repair")
    async with client:
        form = {"csrf_token": token, "reason": "r"}
        assert (await client.post("/operations/transfers/trf_1/release", data=form)).status_code == 303
        assert (await client.post("/operations/changes/sch_1/retry", data=form)).status_code == 303
        gone = await client.post("/operations/transfers/trf_1/cancel", data=form)
        assert (gone.status_code, "goods have left" in gone.text) == (409, True)
        assert (await client.post("/operations/transfers/trf_1/burn", data=form)).status_code == 404
        closing = form | {"missing": "lost"}
        assert (await client.post("/operations/closures/trf_1", data=closing)).status_code == 403
    who = "console/view-repair-person"
    assert desk.operations.asked == [("release", who, "trf_1"), ("retry", who, "sch_1")]


async def test_closing_says_why_and_where_what_is_missing_is(desk):
    client, token = await desk.person("view", "approve")
    async with client:
        assert "at origin" in (await client.get("/operations")).text
        for form in ({"reason": " ", "missing": "lost"}, {"reason": "r", "missing": "moon"}):
            silent = await client.post("/operations/closures/trf_1", data={"csrf_token": token, **form})
            assert silent.status_code == 422
        form = {"csrf_token": token, "reason": "fell off", "missing": "lost"}
        assert (await client.post("/operations/closures/trf_1", data=form)).status_code == 303
        assert (await client.post("/operations/closures/trf_1", data=form | {"line": "2"})).status_code == 303
    assert desk.operations.asked.pop()[-1] == [2]
    assert desk.operations.asked == [("close", "console/view-approve-person", "trf_1", "fell off", "lost", None)]


async def test_counts_are_decided_by_who_may_approve(desk):
    client, token = await desk.person("view", "approve")
    async with client:
        form = {"csrf_token": token, "reason": "seen it"}
        assert (await client.post("/operations/counts/cnt_1/approve", data=form)).status_code == 303
        refused = await client.post("/operations/counts/cnt_1/reject", data=form)
        assert (refused.status_code, "ask a second one" in refused.text) == (403, True)
        assert (await client.post("/operations/counts/cnt_1/eat", data=form)).status_code == 404
    assert desk.operations.asked == [("approve", "console/view-approve-person", "cnt_1", "seen it")]
