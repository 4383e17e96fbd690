"""The page of reconciliation: what it shows of differences, and who decides about them."""

import pytest

from gateway.kernel.clock import SystemClock
from process_apis.reconciliation.options import ReconciliationOptions, Tolerance
from process_apis.reconciliation.process import Reconciliation

from .conftest import TENANT, Console
from .seeding import seed_findings

pytestmark = pytest.mark.integration


class Reconciling(Console):
    """The console with reconciliation on the same record."""

    def made(self, **more):
        options = ReconciliationOptions(tolerances=(Tolerance(alone_absolute=50),))
        reconciliation = Reconciliation(
            self.store, SystemClock(), tenant=TENANT, stock=None, records=None, orders=None, items=None,
            accounts=None, options=options,
        )  # fmt: skip
        return super().made(reconciliation=reconciliation, **more)


@pytest.fixture
async def desk(store):
    console = Reconciling(store)
    console.found = await seed_findings(store)
    return console


async def state_of(console, finding):
    row = await console.store.fetchrow(
        "select state, proposed_by, decided_by, reason from reconciliation.finding where finding = $1", finding
    )
    return tuple(row)


async def test_open_differences_are_shown_with_their_evidence_and_others_when_asked_for(desk):
    client, _ = await desk.person("view")
    async with client:
        page = await client.get("/reconciliation")
        assert page.status_code == 200
        assert all(text in page.text for text in ("PUMP-X400", "NEW/1", "wms_north:e-17", "stock.unit_unknown"))
        assert "VALVE-20" not in page.text
        everything = (await client.get("/reconciliation?state=any")).text
        assert "VALVE-20" in everything
        assert "findings of each six hours" in everything
        lost = (await client.get("/reconciliation?state=any&class=loss")).text
        assert "VALVE-20" in lost
        assert "PUMP-X400" not in lost
        assert "PUMP-X400" not in (await client.get("/reconciliation?source=nobody")).text
        assert (await client.get("/reconciliation?class=%00x&state=%27&before=%00")).status_code == 200


async def test_what_a_source_writes_is_shown_as_text(desk):
    await desk.store.execute(
        "update reconciliation.finding set code = '<script>alert(1)</script>' where code = 'NEW/1'"
    )
    client, _ = await desk.person("view")
    async with client:
        assert "<script>alert" not in (await client.get("/reconciliation")).text


async def test_only_who_may_approve_decides_and_only_with_our_form(desk):
    address = f"/reconciliation/{desk.found['erp']}/accept"
    for roles in (("view",), ("view", "repair"), ("view", "administer")):
        client, token = await desk.person(*roles)
        async with client:
            assert "formaction" not in (await client.get("/reconciliation")).text
            assert (await client.post(address, data={"csrf_token": token, "reason": "r"})).status_code == 403
    client, token = await desk.person("view", "approve")
    async with client:
        assert (await client.post(address, data={"csrf_token": "x" * 32, "reason": "r"})).status_code == 403
        foreign = {"csrf_token": token, "reason": "r"}
        refused = await client.post(address, data=foreign, headers={"sec-fetch-site": "cross-site"})
        assert refused.status_code == 403
    assert await state_of(desk, desk.found["erp"]) == ("open", None, None, None)


async def test_a_decision_needs_a_reason_and_is_audited(desk):
    client, token = await desk.person("view", "approve")
    async with client:
        address = f"/reconciliation/{desk.found['erp']}"
        silent = await client.post(f"{address}/accept", data={"csrf_token": token, "reason": "  "})
        assert (silent.status_code, "say why" in silent.text) == (422, True)
        done = await client.post(f"{address}/reject", data={"csrf_token": token, "reason": "counted on Monday"})
        assert (done.status_code, done.headers["location"]) == (303, "/reconciliation")
        again = await client.post(f"{address}/accept", data={"csrf_token": token, "reason": "after all"})
        assert (again.status_code, "nothing is left to decide" in again.text) == (409, True)
        assert (await client.post(f"{address}/burn", data={"csrf_token": token, "reason": "r"})).status_code == 404
    who = "console/view-approve-person"
    assert await state_of(desk, desk.found["erp"]) == ("rejected", None, who, "counted on Monday")
    audited = await desk.store.fetch(
        "select actor, action, subject from store.audit where action like 'reconciliation.%'"
    )
    assert [tuple(row) for row in audited] == [(who, "reconciliation.rejected", f"finding/{desk.found['erp']}")]


async def test_a_large_difference_takes_two_people(desk):
    first, token = await desk.person("view", "approve")
    second, another = await desk.person("view", "repair", "approve")
    address = f"/reconciliation/{desk.found['large']}/accept"
    async with first, second:
        assert (await first.post(address, data={"csrf_token": token, "reason": "seen"})).status_code == 303
        assert "a second person must" in (await first.get("/reconciliation")).text
        assert (await first.post(address, data={"csrf_token": token, "reason": "again"})).status_code == 403
        assert (await second.post(address, data={"csrf_token": another, "reason": "seen too"})).status_code == 303
    state, proposed, decided, _ = await state_of(desk, desk.found["large"])
    assert (state, proposed, decided) == (
        "adjusting",
        "console/view-approve-person",
        "console/view-repair-approve-person",
    )


async def test_another_tenants_findings_are_not_there(desk):
    await desk.store.execute("update reconciliation.finding set tenant = 'other'")
    client, token = await desk.person("view", "approve")
    async with client:
        assert "PUMP-X400" not in (await client.get("/reconciliation?state=any")).text
        address = f"/reconciliation/{desk.found['erp']}/accept"
        assert (await client.post(address, data={"csrf_token": token, "reason": "r"})).status_code == 404
