"""What the log is told of the queue."""

import json

import pytest

from gateway.kernel.errors import Conflict

pytestmark = pytest.mark.integration


async def told(desk, tenant="acme"):
    rows = await desk.store.fetch(
        "select type, aggregate, aggregate_version, data from store.event where tenant = $1 order by id", tenant
    )
    return [(row["type"], row["aggregate"], row["aggregate_version"], json.loads(row["data"])) for row in rows]


async def kinds(desk):
    return [kind.removeprefix("exception.") for kind, *_ in await told(desk)]


async def test_what_begins_and_ends_by_itself_is_told_once_each_and_again_when_it_comes_back(desk):
    await desk.put("a", code="erp.away")
    await desk.look()
    await desk.look()
    await desk.take("a")
    await desk.look()
    await desk.look()
    await desk.put("a", code="erp.away")
    await desk.look()
    events = await told(desk)
    assert [kind for kind, *_ in events] == ["exception.raised", "exception.resolved", "exception.raised"]
    entry = await desk.one("a")
    assert {aggregate for _, aggregate, *_ in events} == {entry.entry}
    versions = [version for *_, version, _ in events]
    assert versions == sorted(set(versions)), "consumers drop a version that they have seen"
    first, second = events[0][3], events[1][3]
    assert (first["code"], first["class"], first["effect"], first["fault_domain"], first["state"]) == (
        "erp.away", "business", "delays", "erp", "open",
    )  # fmt: skip
    assert (second["state"], second["by"]) == ("resolved", "worker")


async def test_what_somebody_lets_be_is_told_with_who_it_was_and_a_refused_verb_tells_nothing(desk):
    await desk.put("a")
    await desk.put("b")
    await desk.look()
    a, b = await desk.one("a"), await desk.one("b")
    await desk.exceptions.assign(desk.caller(), a.entry, "bob")
    await desk.exceptions.ignore(desk.caller("eve"), a.entry, reason="known")
    await desk.take("b")
    with pytest.raises(Conflict):
        await desk.exceptions.retry(desk.caller(), b.entry)
    assert await kinds(desk) == ["raised", "raised", "resolved"]
    assert (await told(desk))[-1][3] | {"rank": 0} == {
        "exception": a.entry, "kind": "box", "class": "business", "effect": "delays", "fault_domain": "erp",
        "code": "c", "detail": "it stands still", "about": "a", "rank": 0, "count": 1, "state": "ignored", "by": "eve",
    }  # fmt: skip
