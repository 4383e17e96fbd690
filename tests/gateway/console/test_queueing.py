"""The page of exceptions: what it shows, who may do what, and that edits keep what is masked."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.console.queueing import put_back
from gateway.console.redaction import redacted

from .conftest import TENANT, Console
from .seeding import seed_letter, seed_movements, seed_parked
from .wiring import queue_of

LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
NAMES = st.sampled_from(["amount", "source_item", "operator_email", "card", "lines"])


@given(st.dictionaries(NAMES, st.recursive(LEAVES, lambda part: st.lists(part, max_size=3)
       | st.dictionaries(NAMES, part, max_size=3), max_leaves=8)))  # fmt: skip
def test_what_is_masked_and_not_touched_stays_as_it_was(payload):
    assert put_back(redacted(payload), payload) == payload


class Queueing(Console):
    def made(self, **more):
        return super().made(queue=queue_of(self.store), **more)


@pytest.fixture
async def desk(store):
    console = Queueing(store)
    await seed_movements(store, 5)
    await seed_letter(store, "<b>no item</b>")
    await seed_parked(store, "item X-9 is unknown")
    await queue_of(store).sweep.look(TENANT)
    rows = await store.fetch("select kind, entry from exceptions.entry")
    console.entries = {row["kind"]: row["entry"] for row in rows}
    return console


async def state_of(console, kind):
    return await console.store.fetchval("select state from exceptions.entry where kind = $1", kind)


@pytest.mark.integration
async def test_what_stands_still_is_listed_filtered_and_escaped(desk):
    client, _ = await desk.person("view")
    async with client:
        page = (await client.get("/queue")).text
        assert "item X-9 is unknown" in page
        assert "<b>no item</b>" not in page
        assert "X-9" not in (await client.get("/queue?fault_domain=items")).text
        assert "X-9" not in (await client.get("/queue?age=15+min")).text
        assert "X-9" in (await client.get("/queue?assignee=nobody&class=mapping&state=%00&impact=%27")).text
        entry = (await client.get(f"/queue/{desk.entries['parked']}")).text
        assert "X-9" in entry
        assert "sam@wms.test" not in entry
        assert "Retry now" not in entry
        assert (await client.get("/queue/xcp_none")).status_code == 404


@pytest.mark.integration
async def test_only_who_may_repair_decides_and_the_same_twice_is_told(desk):
    address = f"/queue/{desk.entries['parked']}"
    client, token = await desk.person("view")
    async with client:
        refused = await client.post(f"{address}/ignore", data={"csrf_token": token, "reason": "r"})
        assert refused.status_code == 403
    client, token = await desk.person("view", "repair")
    async with client:
        assert (await client.post(f"{address}/take", data={"csrf_token": token})).status_code == 303
        assert await state_of(desk, "parked") == "assigned"
        assert "item X-9" in (await client.get("/queue?assignee=mine")).text
        assert (await client.post(f"{address}/retry", data={"csrf_token": token})).status_code == 303
        again = await client.post(f"{address}/retry", data={"csrf_token": token})
        assert (again.status_code, "wait for what comes of it" in again.text) == (409, True)
        assert (await client.post(f"{address}/ignore", data={"csrf_token": token})).status_code == 422
        done = await client.post(f"{address}/ignore", data={"csrf_token": token, "reason": "a test of theirs"})
        assert done.status_code == 303
        assert "a test of theirs" in (await client.get(address)).text
        revised = await client.post(
            f"/queue-revisions/{desk.entries['dead_letter']}", data={"csrf_token": token, "payload": "{}"}
        )
        assert revised.status_code == 403
    assert await state_of(desk, "parked") == "ignored"


@pytest.mark.integration
async def test_who_may_approve_edits_what_stands_still_and_the_log_stays_as_it_is(desk):
    entry = desk.entries["dead_letter"]
    before = await desk.store.fetchval(
        "select e.data::text from store.event e join store.dead_letter d on d.event_id = e.id"
    )
    client, token = await desk.person("view", "approve")
    async with client:
        form = {"csrf_token": token, "version": "1", "reason": "the unit was wrong"}
        odd = await client.post(f"/queue-revisions/{entry}", data={**form, "payload": "[]"})
        assert (odd.status_code, "no JSON object" in odd.text) == (422, True)
        stale = await client.post(f"/queue-revisions/{entry}", data={**form, "version": "9", "payload": "{}"})
        assert (stale.status_code, "read it again" in stale.text) == (409, True)
        given = await client.post(f"/queue-revisions/{entry}", data={**form, "payload": '{"uom": "EA"}'})
        assert given.status_code == 303
    assert json.loads(await desk.store.fetchval("select edited from store.dead_letter")) == {"uom": "EA"}
    after = await desk.store.fetchval(
        "select e.data::text from store.event e join store.dead_letter d on d.event_id = e.id"
    )
    assert after == before
    assert await state_of(desk, "dead_letter") == "retrying"


@pytest.mark.integration
async def test_many_are_planned_started_by_who_may_and_cancelled(desk):
    client, token = await desk.person("view", "repair")
    async with client:
        given = {"csrf_token": token, "verb": "retry", "class": "mapping", "reason": "<i>all is back</i>"}
        assert (await client.post("/queue-bulks", data=given)).status_code == 303
        bulk = await desk.store.fetchval("select bulk from exceptions.bulk")
        page = (await client.get("/queue-bulks")).text
        assert "retry 2" in page
        assert "<i>all" not in page
        refused = await client.post(f"/queue-approvals/{bulk}", data={"csrf_token": token})
        assert refused.status_code == 403
        assert (await client.post(f"/queue-bulks/{bulk}/start", data={"csrf_token": token})).status_code == 303
        assert (await client.post(f"/queue-bulks/{bulk}/start", data={"csrf_token": token})).status_code == 409
        assert (await client.post(f"/queue-bulks/{bulk}/cancel", data={"csrf_token": token})).status_code == 303
        odd = await client.post("/queue-bulks", data={**given, "class": "none"})
        assert odd.status_code == 422
    assert await desk.store.fetchval("select state from exceptions.bulk") == "cancelled"
