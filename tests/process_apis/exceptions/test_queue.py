"""The queue follows its owners, and every verb is one transaction with what the owner does."""

from __future__ import annotations

import asyncio
import json

import pytest
from msgspec.structs import replace

from gateway.canonical.trouble import Verb
from gateway.kernel.errors import Conflict, Invalid, NotFound
from process_apis.exceptions.models import Wanted
from process_apis.exceptions.options import ExceptionOptions
from process_apis.exceptions.process import Exceptions
from tests.process_apis.exceptions.conftest import Box

pytestmark = pytest.mark.integration


async def test_a_trouble_comes_counts_and_resolves_itself_when_it_went_on(desk):
    await desk.put("a")
    assert await desk.look() == 1
    assert await desk.look() == 0
    first = await desk.one("a")
    await desk.put("a", number=5, code="worse")
    await desk.look()
    again = await desk.one("a")
    assert (again.entry, again.seen, again.count, again.code) == (first.entry, 2, 5, "worse")
    await desk.take("a")
    await desk.look()
    assert (await desk.one("a")).state == "resolved"
    assert await desk.listed() == []
    await desk.put("a")
    await desk.look()
    assert (await desk.one("a")).entry == first.entry
    assert [what for what, _ in await desk.story("a")] == ["raised", "resolved", "raised_again"]


async def test_a_retry_is_asked_of_the_owner_once_and_the_one_who_asked_is_named_when_it_went_on(desk):
    await desk.put("a")
    await desk.look()
    entry = (await desk.one("a")).entry
    asked = await asyncio.gather(
        *(desk.exceptions.retry(desk.caller(name), entry) for name in ("ada", "bob", "cy")), return_exceptions=True
    )
    assert sorted(getattr(each, "code", "c") for each in asked) == ["c", "exceptions.retrying", "exceptions.retrying"]
    assert await desk.store.fetchval("select tries from box") == 1
    await desk.look()
    assert (await desk.one("a")).state == "retrying"
    await desk.take("a")
    await desk.look()
    winner = next(each.asked_by for each in asked if not isinstance(each, Exception))
    assert (await desk.story("a"))[-1] == ("resolved", winner)
    assert await desk.store.fetchval("select count(*) from store.audit where action = 'exceptions.retry'") == 1


async def test_a_refusal_by_the_owner_changes_nothing(desk):
    await desk.put("a")
    await desk.look()
    await desk.take("a")
    with pytest.raises(Conflict) as refused:
        await desk.exceptions.retry(desk.caller(), (await desk.one("a")).entry)
    assert refused.value.code == "exceptions.over"
    assert ((await desk.one("a")).state, len(await desk.story("a"))) == ("open", 1)
    assert await desk.store.fetchval("select count(*) from store.audit") == 0


async def test_an_edit_is_kept_with_what_it_replaced_and_needs_the_version_that_was_read(desk):
    await desk.put("a")
    await desk.look()
    known = await desk.one("a")
    await desk.exceptions.assign(desk.caller(), known.entry, "ada")
    given = {"payload": {"uom": "EA"}, "reason": "the unit was wrong"}
    with pytest.raises(Conflict) as refused:
        await desk.exceptions.edit(desk.caller(), known.entry, version=known.version, **given)
    assert refused.value.code == "exceptions.changed"
    known = await desk.one("a")
    edited = await desk.exceptions.edit(desk.caller(), known.entry, version=known.version, **given)
    [revision] = await desk.exceptions.revisions(edited)
    assert (revision.before, revision.after, revision.actor) == ({}, {"uom": "EA"}, "ada")
    assert await desk.exceptions.payload(edited) == {"uom": "EA"}


async def test_an_edit_of_what_resolved_itself_meanwhile_is_refused(desk):
    await desk.put("a")
    await desk.look()
    known = await desk.one("a")
    await desk.take("a")
    _, outcome = await asyncio.gather(
        desk.look(),
        desk.exceptions.edit(desk.caller(), known.entry, {}, reason="r", version=known.version),
        return_exceptions=True,
    )
    assert isinstance(outcome, Conflict)
    await desk.look()
    assert (await desk.one("a")).state == "resolved"
    assert await desk.exceptions.revisions(known) == []


async def test_what_is_ignored_is_closed_at_its_owner_with_the_reason_kept(desk):
    await desk.put("a")
    await desk.look()
    entry = (await desk.one("a")).entry
    with pytest.raises(Invalid):
        await desk.exceptions.ignore(desk.caller(), entry, reason=" ")
    await desk.exceptions.ignore(desk.caller(), entry, reason="sent by phone")
    await desk.look()
    ended = await desk.one("a")
    assert (ended.state, ended.reason, ended.ended_by) == ("ignored", "sent by phone", "ada")
    detail = json.loads(await desk.store.fetchval("select detail from store.audit"))
    assert detail["reason"] == "sent by phone"
    with pytest.raises(Conflict):
        await desk.exceptions.ignore(desk.caller(), entry, reason="again")


async def test_lists_are_filtered_and_paged_by_urgency(desk):
    for number, key in ((1, "a"), (100, "b"), (9, "c")):
        await desk.put(key, number=number)
    await desk.look()
    assert await desk.listed() == ["b", "c", "a"]
    await desk.exceptions.assign(desk.caller(), (await desk.one("c")).entry, "bob")
    assert await desk.listed(assignee="bob") == ["c"]
    assert await desk.listed(assignee="") == ["b", "a"]
    assert await desk.listed(fault_domain="wms") == []
    second = await desk.exceptions.listed(
        "acme", Wanted(), after=((await desk.one("b")).rank, (await desk.one("b")).entry)
    )
    assert [each.key for each in second] == ["c", "a"]


async def test_another_tenants_entry_is_not_there(desk):
    await desk.put("a", tenant="other")
    await desk.look("other")
    await desk.look()
    entry = (await desk.one("a", "other")).entry
    assert await desk.listed() == []
    for asked in (
        desk.exceptions.get("acme", entry),
        desk.exceptions.retry(desk.caller(), entry),
        desk.exceptions.assign(desk.caller(), entry, "ada"),
        desk.exceptions.ignore(desk.caller(), entry, reason="r"),
        desk.exceptions.edit(desk.caller(), entry, {}, reason="r", version=1),
    ):
        with pytest.raises(NotFound):
            await asked
    assert (await desk.one("a", "other")).state == "open"


async def test_a_look_and_a_decision_at_once_never_bring_an_ignored_one_back(desk):
    keys = [f"k{number}" for number in range(12)]
    for key in keys:
        await desk.put(key)
    await desk.look()
    entries = [(await desk.one(key)).entry for key in keys]
    await asyncio.gather(
        *(desk.exceptions.ignore(desk.caller(), entry, reason="r") for entry in entries),
        *(desk.look() for _ in range(6)),
    )
    await desk.look()
    assert {(await desk.one(key)).state for key in keys} == {"ignored"}


async def test_ended_entries_are_forgotten_after_their_time(desk):
    await desk.put("a")
    await desk.look()
    await desk.take("a")
    await desk.look()
    await desk.store.execute("update exceptions.entry set ended_at = ended_at - interval '91 days'")
    await desk.look()
    assert await desk.store.fetchval("select count(*) from exceptions.entry") == 0
    assert await desk.store.fetchval("select count(*) from exceptions.step") == 0


async def test_who_would_edit_what_is_somebody_elses_word_is_told_what_to_do_instead(desk):
    class Letters(Box):
        kind = "letters"
        mended = "write another one"

        async def troubles(self, connection, tenant, *, limit):
            found = await super().troubles(connection, tenant, limit=limit)
            return [replace(each, verbs=(Verb.RETRY,)) for each in found]

    queue = Exceptions(desk.store, [Letters()], ExceptionOptions())
    await desk.put("a")
    await queue.sweep.look("acme")
    [known] = await queue.listed("acme", Wanted())
    with pytest.raises(Conflict) as refused:
        await queue.edit(desk.caller(), known.entry, {}, reason="r", version=known.version)
    assert (refused.value.code, refused.value.detail) == (
        "exceptions.verb", "letters does not take edit: write another one",
    )  # fmt: skip
