"""The pages of purchasing: what holds purchases up, and what a buyer decides, with a reason that is kept."""

import json

import pytest

from .buying import departed, opened, refused
from .conftest import Console

pytestmark = pytest.mark.integration


class Purchasing(Console):
    """The console with the purchases of `world`."""

    def __init__(self, world):
        self.world = world
        super().__init__(world.store)

    def made(self, **more):
        return super().made(purchases=self.world.purchases, **more)

    async def audits(self, subject):
        rows = await self.store.fetch(
            "select actor, action, detail from store.audit where subject = $1 and actor like 'console/%' order by id",
            subject,
        )
        return [(row["actor"], row["action"], json.loads(row["detail"]).get("reason")) for row in rows]


@pytest.fixture
async def desk(store):
    return Purchasing(await opened(store))


async def test_purchases_are_listed_by_what_holds_them_up_and_told_as_text(desk):
    held = await departed(desk.world)
    quiet = (await desk.world.approve("PO-7002", 1)).purchase
    lost = (await desk.world.approve("PO-7004", 1, supplier="SUP9")).purchase
    booking, _ = await refused(desk.world)
    client, _ = await desk.person("view")
    async with client:
        page = (await client.get("/purchasing")).text
        for told in (held, lost, "26 instead of 24 each", "27 instead of 24 per CS", "2 EA more came"):
            assert told in page, told
        assert quiet not in page
        assert "<b>I-1</b>" not in page
        everything = (await client.get("/purchasing?state=open")).text
        assert all(each in everything for each in (held, quiet, lost, booking))
        assert "the supplier did not answer line 1 yet" in everything
        assert "erp refused the receipt" in everything
        assert lost in (await client.get("/purchasing?state=unmapped")).text
        assert "There is none." in (await client.get("/purchasing?state=matched&before=%00")).text
        assert (await client.get("/purchasing/pur_nobodys")).status_code == 404


async def test_a_page_has_every_partys_word_of_a_line_side_by_side_and_no_form_for_who_only_looks(desk):
    held = await departed(desk.world)
    client, _ = await desk.person("view")
    async with client:
        page = (await client.get(f"/purchasing/{held}")).text
    row = page.split('data-line="1"')[1].split("</tr>")[0]
    figures = [cell.split("<")[0].strip() for cell in row.split('<td class="number">')[1:]]
    assert figures == ["120 EA", "120", "72", "72", "72", "48"]
    for told in ("A-1", "line 1: price changed 10", "N-1", "162.00 USD", "invoice.blocked", "supplier.acknowledged"):
        assert told in page, told
    assert "purchase-decisions" not in page
    assert "<b>I-1</b>" not in page


async def test_a_buyer_takes_a_price_and_refuses_an_invoice_and_a_viewer_does_not(desk):
    held = await departed(desk.world)
    accept, refuse = (f"/purchase-decisions/{held}/{verb}" for verb in ("acceptance", "refusal"))
    price = {"subject": "ack/A-1/1/1", "reason": "agreed by telephone"}
    viewer, token = await desk.person("view", "repair")
    async with viewer:
        assert (await viewer.post(accept, data={"csrf_token": token, **price})).status_code == 403
    client, token = await desk.person("view", "approve")
    async with client:
        silent = await client.post(accept, data={"csrf_token": token, **price, "reason": " "})
        assert (silent.status_code, "say why" in silent.text) == (422, True)
        for _ in range(2):
            done = await client.post(accept, data={"csrf_token": token, **price})
            assert (done.status_code, done.headers["location"]) == (303, f"/purchasing/{held}")
        turned = await client.post(refuse, data={"csrf_token": token, **price})
        assert (turned.status_code, 'class="notice bad"' in turned.text) == (409, True)
        invoice = {"subject": "invoice/<b>I-1</b>", "reason": "not the price we agreed"}
        assert (await client.post(refuse, data={"csrf_token": token, **invoice})).status_code == 303
        page = (await client.get(f"/purchasing/{held}")).text
        assert "not the price we agreed" in page
        assert "26 instead of 24 each" not in page.split("Lines")[0]
        assert (await client.post(f"/purchase-decisions/{held}/burning", data={"csrf_token": token})).status_code == 404
    who = "console/view-approve-person"
    assert await desk.audits(held) == [
        (who, "purchase.decision", "agreed by telephone"),
        (who, "purchase.decision", "not the price we agreed"),
    ]


async def test_a_line_is_closed_and_goods_that_went_back_are_noted_once(desk):
    held = await departed(desk.world)
    client, token = await desk.person("view", "approve")
    async with client:
        closing = {"csrf_token": token, "line": "1", "reason": "they are out of it"}
        assert (await client.post(f"/purchase-decisions/{held}/closure", data=closing)).status_code == 303
        back = {"csrf_token": token, "line": "1", "amount": "1", "number": "R-1", "reason": "crushed"}
        address = f"/purchase-decisions/{held}/sent-back"
        for wrong in ({"amount": ""}, {"amount": "x"}, {"number": ""}, {"line": "0"}, {"reason": ""}):
            assert (await client.post(address, data={**back, **wrong})).status_code == 422, wrong
        for _ in range(2):
            assert (await client.post(address, data=back)).status_code == 303
    known = await desk.world.purchases.dialogue.get("acme", held)
    line = known.standing.lines[0]
    assert (line.open, line.cancelled, line.sent_back, line.accepted) == (0, 48, 12, 60)
    assert [action for _, action, _ in await desk.audits(held)] == ["purchase.closure", "purchase.sent_back"]


async def test_what_the_erp_refused_is_asked_again_or_booked_by_a_person(desk):
    made, posting = await refused(desk.world)
    form = {"posting": posting, "reason": "booked in July"}
    fixer, token = await desk.person("view", "repair")
    async with fixer:
        assert "Ask again" in (await fixer.get(f"/purchasing/{made}")).text
        for verb, status in (("booking", 303), ("booking", 409), ("burning", 404)):
            answer = await fixer.post(f"/purchasing/{made}/{verb}", data={"csrf_token": token, "posting": posting})
            assert answer.status_code == status, verb
    await desk.world.work()
    assert desk.world.books.came == [(1, 2, "CS")]
    made, posting = await refused(desk.world, "PO-7005")
    client, token = await desk.person("view", "approve")
    async with client:
        done = await client.post(
            f"/purchase-decisions/{made}/booked", data={"csrf_token": token, **form, "posting": posting}
        )
        assert done.status_code == 303
        assert "by hand" in (await client.get(f"/purchasing/{made}")).text
    assert await desk.audits(posting) == [("console/view-approve-person", "purchase.booked_by_hand", "booked in July")]


async def test_what_waits_for_a_mapping_is_mapped_once_its_supplier_is_known(desk):
    lost = (await desk.world.approve("PO-7004", 1, supplier="SUP9")).purchase
    client, token = await desk.person("view", "repair")
    async with client:
        address = f"/purchasing/{lost}/mapping"
        refusal = await client.post(address, data={"csrf_token": token})
        assert (refusal.status_code, "SUP9" in refusal.text) == (409, True)
        await desk.world.onboard("SUP9")
        assert (await client.post(address, data={"csrf_token": token})).status_code == 303
        assert "What holds it up" not in (await client.get(f"/purchasing/{lost}")).text
    assert await desk.audits(lost) == [("console/view-repair-person", "purchase.map_again", None)]
