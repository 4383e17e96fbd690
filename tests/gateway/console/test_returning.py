"""The pages of returns: what is under way, its timeline, and who decides what, with a reason that is kept."""

import json

import pytest

from gateway.kernel.ids import new_id

from .conftest import TENANT, Console
from .wiring import returns_of

pytestmark = pytest.mark.integration


class Returning(Console):
    """The console with returns on the same record."""

    def made(self, **more):
        return super().made(returns=returns_of(self.store), **more)

    async def come_back(self, state="requested", *, received=0, sellable=0, by_hand=False):
        """A return of two pieces; its id."""
        known, decision = new_id("ret"), None if state == "requested" else "authorised"
        await self.store.execute(
            "insert into returns.return_order (return_id, tenant, action, fingerprint, order_id, channel, sold_to,"
            " currency, location, freight, asked_by, correlation_id, state, decision, reference, over)"
            " values ($1, $2, $1, '', 'ord_1', 'web', 'C-1', 'USD', 'loc_na', 'buyer', 'shop', 'c', $3, $4,"
            " '<b>RMA-17</b>', 'line 1: shipped 40 days ago, damaged allows 30')",
            *(known, TENANT, state, decision),
        )
        await self.store.execute(
            "insert into returns.return_line (return_id, line, item, sku, uom, unit_price, amount, reason, fee_percent,"
            " received, sellable) values ($1, 1, 'itm_1', 'PUMP-X400', 'EA', 10, 2, 'damaged', 0, $2, $3)",
            *(known, received, sellable),
        )
        if by_hand:
            credit = new_id("crd")
            await self.store.execute(
                "insert into returns.task (subject, tenant, kind, action, fingerprint, state)"
                " values ($1, $2, 'credit', $1, '', 'waiting')",
                *(credit, TENANT),
            )
            await self.store.execute(
                "insert into returns.credit (credit, return_id, tenant, lines, net, fee, state)"
                " values ($1, $2, $3, $4::jsonb, 20, 0, 'by_hand')",
                *(credit, known, TENANT, json.dumps([{"line": 1, "amount": "2", "restocked": "2"}])),
            )
            await self.store.execute("update returns.return_line set credited = 2 where return_id = $1", known)
            return known, credit
        return known

    async def audits(self, subject):
        rows = await self.store.fetch("select actor, action, detail from store.audit where subject = $1", subject)
        return [(row["actor"], row["action"], json.loads(row["detail"])["reason"]) for row in rows]


@pytest.fixture
async def desk(store):
    return Returning(store)


async def test_returns_are_listed_by_state_and_told_as_text(desk):
    asked = await desk.come_back()
    over = await desk.come_back("closed")
    client, _ = await desk.person("view")
    async with client:
        page = (await client.get("/returns")).text
        assert asked in page
        assert over not in page
        assert "<b>RMA-17</b>" not in page
        assert "authorise it all the same, or refuse it" in page
        assert over in (await client.get("/returns?state=closed")).text
        assert "There is none." in (await client.get("/returns?state=credited&before=%00")).text
        shown = await client.get(f"/returns/{asked}")
        assert (shown.status_code, "PUMP-X400" in shown.text, "<form" in shown.text.split("Timeline")[0]) == (
            200, True, "sign-out" in shown.text,
        )  # fmt: skip
        assert 'href="/orders/ord_1"' in shown.text
        assert "Nothing happened yet." in shown.text
        assert (await client.get("/returns/ret_nobodys")).status_code == 404


async def test_who_may_approve_authorises_with_a_reason_and_the_timeline_tells_it(desk):
    known = await desk.come_back()
    address = f"/return-decisions/{known}/authorisation"
    viewer, token = await desk.person("view", "repair")
    async with viewer:
        assert (await viewer.post(address, data={"csrf_token": token, "reason": "r"})).status_code == 403
    client, token = await desk.person("view", "approve")
    async with client:
        silent = await client.post(address, data={"csrf_token": token, "reason": " "})
        assert (silent.status_code, "say why" in silent.text) == (422, True)
        done = await client.post(address, data={"csrf_token": token, "reason": "a good customer"})
        assert (done.status_code, done.headers["location"]) == (303, f"/returns/{known}")
        page = (await client.get(f"/returns/{known}")).text
        assert "return.authorised" in page
        assert "a good customer" in page
        assert (await client.post(f"/return-decisions/{known}/burning", data={"csrf_token": token})).status_code == 404
    assert await desk.audits(known) == [("console/view-approve-person", "return.decide", "a good customer")]


async def test_a_disposition_that_nobody_takes_is_told_on_the_page(desk):
    known = await desk.come_back("received", received=2)
    client, token = await desk.person("view", "repair")
    async with client:
        assert "Put there" in (await client.get(f"/returns/{known}")).text
        form = {
            "csrf_token": token,
            "line": "1",
            "amount": "2",
            "target": "sellable",
            "reason": "looked at",
            "version": "1",
        }
        for wrong in ({"amount": "0"}, {"amount": ""}, {"target": "moon"}, {"line": "x"}, {"reason": ""}):
            refused = await client.post(f"/returns/{known}/disposition", data={**form, **wrong})
            assert refused.status_code == 422, wrong
        refused = await client.post(f"/returns/{known}/disposition", data=form)
        assert (refused.status_code, 'class="notice bad"' in refused.text) == (409, True)


async def test_a_credit_that_a_person_issued_is_told_its_number(desk):
    known, credit = await desk.come_back("dispositioned", received=2, sellable=2, by_hand=True)
    form = {"credit": credit, "number": "CN-7", "reason": "issued in the old ERP"}
    client, token = await desk.person("view", "approve")
    async with client:
        assert "It is issued" in (await client.get(f"/returns/{known}")).text
        answer = await client.post(f"/return-decisions/{known}/settlement", data={"csrf_token": token, **form})
        assert answer.status_code == 303, answer.text
        assert "CN-7" in (await client.get(f"/returns/{known}")).text
    assert await desk.store.fetchval("select state from returns.return_order where return_id = $1", known) == "credited"
    assert await desk.audits(credit) == [
        ("console/view-approve-person", "return.settle_credit", "issued in the old ERP")
    ]
