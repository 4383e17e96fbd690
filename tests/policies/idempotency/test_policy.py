import asyncio
import sys
from pathlib import Path

import pytest
from msgspec import Struct

from gateway.edge.strict import forgiving_decoder, json_decoder
from gateway.kernel.errors import (
    BrokenUpstream,
    Conflict,
    Invalid,
    Misconfigured,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from gateway.kernel.exchange import Idempotency, Reply
from gateway.store.postgres import CommitUnknown, Store
from gateway.store.together import Together
from policies.idempotency.options import IdempotencyOptions
from policies.idempotency.policy import IdempotencyPolicy
from policies.idempotency.store import free_unresolved, unresolved

from .conftest import CREATED, RING, Door, exchange

OFFLINE = IdempotencyPolicy(Store("postgresql://127.0.0.1:1/none"), RING)


class Recaller:
    """Knows what became of a lost request: a reply, None for certainly nothing, or an error."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    async def recall_outcome(self, *, caller, idempotency_key, path_params, body):
        self.asked.append((caller.tenant, idempotency_key, body))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def state(store):
    return await store.fetchval("select state from idempotency.record")


async def end_lease(store):
    await store.execute("update idempotency.record set lease_until = now() - interval '1 second'")


# --- before the record ----------------------------------------------------------------------------------------------


def test_a_missing_key_is_a_bad_request_where_the_route_requires_one():
    with pytest.raises(Invalid) as refused:
        OFFLINE.admit(exchange(None))
    assert refused.value.syntax
    assert refused.value.code == "idempotency_key.missing"
    assert refused.value.problems[0].parameter == "Idempotency-Key"


def test_where_the_route_does_not_ask_nothing_is_recorded():
    assert OFFLINE.admit(exchange(None, idempotency=Idempotency.OPTIONAL)) is None
    assert OFFLINE.admit(exchange(idempotency=Idempotency.NONE)) is None
    assert OFFLINE.conclude(exchange()) is None


async def test_nothing_is_executed_while_the_record_is_down():
    door = Door(OFFLINE)
    refused = await door.serve(exchange())
    assert isinstance(refused, Unavailable)
    assert refused.code == "idempotency.unavailable"
    assert door.executions == 0


# --- laws, on real PostgreSQL ---------------------------------------------------------------------------------------


@pytest.mark.integration
async def test_the_second_request_is_answered_from_the_record(door):
    first = await door.serve(exchange())
    second = await door.serve(exchange(b"k1"))
    assert door.executions == 1
    assert (second.status, second.body) == (first.status, first.body)
    assert dict(second.headers) == {
        b"content-type": b"application/json",
        b"location": b"/orders/1",
        b"content-length": b"10",
        b"idempotent-replayed": b"true",
    }


@pytest.mark.integration
async def test_a_replay_is_the_same_however_often_it_is_asked_for(door):
    await door.serve(exchange())
    replies = [await door.serve(exchange()) for _ in range(5)]
    assert len({(reply.status, reply.body) for reply in replies}) == 1
    assert door.executions == 1


@pytest.mark.integration
async def test_an_optional_key_is_kept_too(door):
    for _ in range(2):
        await door.serve(exchange(idempotency=Idempotency.OPTIONAL))
    assert door.executions == 1


@pytest.mark.integration
async def test_the_same_key_with_another_payload_path_or_query_is_refused(door):
    await door.serve(exchange())
    for other in (exchange(body=b'{"a":1}'), exchange(path="/orders/2")):
        refused = await door.serve(other)
        assert isinstance(refused, Invalid)
        assert not refused.syntax
        assert refused.code == "idempotency_key.reused"
    assert door.executions == 1


@pytest.mark.integration
async def test_the_same_key_of_another_tenant_partner_or_route_is_independent(door):
    await door.serve(exchange())
    for other in (exchange(tenant="other"), exchange(partner="par_2"), exchange(id="POST /returns", body=b"[]")):
        reply = await door.serve(other)
        assert (b"idempotent-replayed", b"true") not in reply.headers
    assert door.executions == 4


@pytest.mark.integration
async def test_while_the_first_is_served_the_second_is_told_to_come_back(door):
    async def again(_):
        refused = await Door(door.policy).serve(exchange())
        assert isinstance(refused, Conflict)
        assert refused.code == "idempotency.in_flight"
        assert refused.context["retry_after"] >= 1

    await door.serve(exchange(), during=again)
    assert door.executions == 1


@pytest.mark.integration
async def test_of_many_at_once_one_is_executed(door):
    others_answered = asyncio.Event()

    async def first(_):
        await others_answered.wait()

    asked = [asyncio.create_task(door.serve(exchange(), during=first)) for _ in range(20)]
    async with asyncio.timeout(60):
        while sum(each.done() for each in asked) < 19:  # noqa: ASYNC110 - tasks have no event for how many
            await asyncio.sleep(0.01)
    others_answered.set()
    answers = await asyncio.gather(*asked)
    assert door.executions == 1
    assert sum(isinstance(answer, Reply) for answer in answers) == 1
    assert {answer.code for answer in answers if isinstance(answer, Conflict)} == {"idempotency.in_flight"}


@pytest.mark.integration
@pytest.mark.parametrize("error", [Invalid("body"), Throttled("line cost"), Rejected("no")])
async def test_a_rejection_by_the_gateway_frees_the_key(error, door, store):
    await door.serve(exchange(body=b"wrong"), gateway_error=error)
    assert await store.fetchval("select count(*) from idempotency.record") == 0
    reply = await door.serve(exchange(body=b"right"))
    assert reply.status == 201
    assert door.executions == 1


@pytest.mark.integration
@pytest.mark.parametrize("error", [Unavailable("erp is down"), Throttled("later")])
async def test_a_handler_that_promises_that_nothing_was_done_frees_the_key(error, door):
    await door.serve(exchange(), answer=error)
    assert (await door.serve(exchange())).status == 201
    assert door.executions == 2


@pytest.mark.integration
async def test_a_refusal_by_the_handler_is_an_answer_and_is_replayed(door):
    refusal = Conflict("only one left", code="stock.insufficient")
    refusal.status = 409
    await door.serve(exchange(), answer=refusal)
    replayed = await door.serve(exchange())
    assert replayed.status == 409
    assert (b"idempotent-replayed", b"true") in replayed.headers
    assert door.executions == 1


@pytest.mark.integration
@pytest.mark.parametrize(
    "error",
    [OutcomeUnknown("timeout"), CommitUnknown("lost"), BrokenUpstream("odd"), RuntimeError("bug")],
    ids=lambda error: type(error).__name__,
)
async def test_an_outcome_nobody_knows_is_not_executed_again(error, door, store):
    await door.serve(exchange(), answer=error)
    assert await state(store) == "unknown"
    for _ in range(2):
        refused = await door.serve(exchange())
        assert isinstance(refused, Conflict)
        assert refused.code == "idempotency.outcome_unknown"
    assert door.executions == 1


@pytest.mark.integration
async def test_a_lease_that_ended_is_an_unknown_outcome_not_a_free_key(door, store):
    made = exchange()
    await door.policy.admit(made)  # and the worker dies
    await end_lease(store)
    refused = await door.serve(exchange())
    assert refused.code == "idempotency.outcome_unknown"
    assert door.executions == 0


@pytest.mark.integration
async def test_a_lost_request_that_was_done_is_replayed_from_what_is_recalled(make_door, store):
    recaller = Recaller(Reply(201, list(CREATED.headers), b'{"id":"1"}'))
    door = make_door(recallers={"POST /orders": recaller})
    await door.policy.admit(exchange())
    await end_lease(store)
    for _ in range(2):
        reply = await door.serve(exchange())
        assert (reply.status, reply.body) == (201, b'{"id":"1"}')
        assert (b"idempotent-replayed", b"true") in reply.headers
    assert door.executions == 0
    assert recaller.asked == [("acme", "k1", b"{}")]
    assert await state(store) == "done"


@pytest.mark.integration
async def test_a_lost_request_that_was_certainly_not_done_is_executed_once(make_door, store):
    door = make_door(recallers={"POST /orders": Recaller(None)})
    await door.serve(exchange(), answer=OutcomeUnknown("timeout"))
    assert (await door.serve(exchange())).status == 201
    assert (await door.serve(exchange())).status == 201
    assert door.executions == 2
    assert await state(store) == "done"


@pytest.mark.integration
async def test_a_lost_request_that_does_not_fit_its_contract_was_certainly_not_done(make_door, store):
    def refuses(_):
        raise Invalid("does not fit")

    door = make_door(recallers={"POST /orders": Recaller(RuntimeError("cannot read this body"))})
    await door.policy.admit(exchange())  # and the worker dies before it validates
    await end_lease(store)
    await door.serve(exchange(decode=refuses), gateway_error=Invalid("does not fit"))
    assert await store.fetchval("select count(*) from idempotency.record") == 0


@pytest.mark.integration
async def test_a_lost_request_stays_closed_while_nobody_can_tell(make_door):
    recaller = Recaller(OutcomeUnknown("erp is silent"))
    door = make_door(recallers={"POST /orders": recaller})
    await door.serve(exchange(), answer=OutcomeUnknown("timeout"))
    assert (await door.serve(exchange())).code == "idempotency.outcome_unknown"
    recaller.answer = CREATED
    assert (await door.serve(exchange())).status == 201
    assert door.executions == 1


@pytest.mark.integration
async def test_of_many_who_ask_about_a_lost_request_at_most_one_executes_it(make_door, store):
    class Slow(Recaller):
        async def recall_outcome(self, **given):
            await asyncio.sleep(0.05)
            return await super().recall_outcome(**given)

    async def slowly(_):
        await asyncio.sleep(0.3)

    door = make_door(recallers={"POST /orders": Slow(None)})
    await door.policy.admit(exchange())
    await end_lease(store)
    for _ in range(20):
        await asyncio.gather(*(door.serve(exchange(), during=slowly) for _ in range(5)))
        if door.executions:
            break
    assert door.executions == 1


@pytest.mark.integration
async def test_whoever_lost_the_key_cannot_complete_free_or_commit(make_door, store):
    door = make_door(recallers={"POST /orders": Recaller(None)})
    late = exchange()
    await door.policy.admit(late)
    await end_lease(store)
    await door.serve(exchange())

    late.reached_handler = True
    late.reply = Reply(500, [], b"late")
    await door.policy.conclude(late)
    late.reached_handler = False
    await door.policy.conclude(late)
    replayed = await door.serve(exchange())
    assert (replayed.status, replayed.body) == (201, CREATED.body)

    held = late.notes["idempotency"]
    for attempt in (held.hold_in, lambda c: held.complete_in(c, CREATED)):
        with pytest.raises(Conflict) as lost:
            async with store.transaction() as connection:
                await attempt(connection)
        assert lost.value.code == "idempotency.lost"


@pytest.mark.integration
async def test_effect_and_answer_can_commit_together(door, store):
    async def handler(made):
        async with store.transaction() as connection:
            await made.notes["idempotency"].complete_in(connection, CREATED)

    await door.serve(exchange(), during=handler)
    assert (await door.serve(exchange())).status == 201
    assert door.executions == 1


@pytest.mark.integration
async def test_an_answer_is_kept_among_other_writes_unless_another_execution_took_over(make_door, store):
    door = make_door(recallers={"POST /orders": Recaller(None)})
    late = exchange()
    await door.policy.admit(late)
    await end_lease(store)

    async def handler(made):
        for held, kept in ((late.notes["idempotency"], False), (made.notes["idempotency"], True)):
            writes = Together()
            held.keep(writes, CREATED)
            async with store.transaction() as connection:
                assert held.is_kept(await writes.run(connection)) is kept
            held.completed = kept

    await door.serve(exchange(), during=handler)
    replayed = await door.serve(exchange())
    assert (replayed.status, replayed.body) == (201, CREATED.body)
    assert door.executions == 1


@pytest.mark.integration
async def test_an_answer_that_rolled_back_with_its_effect_was_not_given(door, store):
    async def handler(made):
        async with store.transaction() as connection:
            await made.notes["idempotency"].complete_in(connection, CREATED)
            raise Unavailable("rolled back")

    await door.serve(exchange(), during=handler)
    assert (await door.serve(exchange())).status == 201
    assert door.executions == 2


@pytest.mark.integration
async def test_a_reply_too_large_to_keep_is_not_executed_again(make_door):
    door = make_door(largest_reply=100)
    await door.serve(exchange(), answer=Reply(200, [], b"x" * 101))
    refused = await door.serve(exchange())
    assert refused.code == "idempotency.answer_not_kept"
    assert door.executions == 1


@pytest.mark.integration
async def test_bodies_and_keys_are_not_readable_in_the_database(door, store):
    await door.serve(exchange(b'"very-secret-key"'), answer=Reply(200, [], b"very secret body"))
    row = str(tuple((await store.fetchrow("select * from idempotency.record")).values()))
    assert "very secret body" not in row
    assert "very-secret-key" not in row


@pytest.mark.integration
async def test_a_key_may_be_used_afresh_when_its_time_is_over(door, store):
    await door.serve(exchange())
    await store.execute("update idempotency.record set expires_at = now() - interval '1 second'")
    await door.serve(exchange(body=b'{"new":1}'))
    assert door.executions == 2


@pytest.mark.integration
async def test_the_purge_removes_what_is_over_and_marks_what_was_lost(door, store):
    await door.serve(exchange(b"over"))
    await door.serve(exchange(b"kept"))
    await door.policy.admit(exchange(b"lost"))
    first = "select key from idempotency.record order by created_at limit 1"
    await store.execute(f"update idempotency.record set expires_at = now() - interval '1 day' where key = ({first})")
    await store.execute(
        "update idempotency.record set lease_until = now() - interval '1 hour' where state = 'reserved'"
    )
    assert await door.policy._records.purge(100) == (1, 1)
    rows = await store.fetch("select state from idempotency.record order by state")
    assert [row["state"] for row in rows] == ["done", "unknown"]


@pytest.mark.integration
async def test_the_purge_runs_by_itself_and_stops(store):
    policy = IdempotencyPolicy(store, RING, IdempotencyOptions(purge_every=0.02))
    await Door(policy).serve(exchange())
    await store.execute("update idempotency.record set expires_at = now() - interval '1 day'")
    await policy.open()
    for _ in range(2_000):
        if await store.fetchval("select count(*) from idempotency.record") == 0:
            break
        await asyncio.sleep(0.02)
    await policy.close()
    assert await store.fetchval("select count(*) from idempotency.record") == 0


@pytest.mark.integration
async def test_a_person_can_free_a_key_whose_outcome_nobody_knew(door, store):
    await door.serve(exchange(), answer=OutcomeUnknown("timeout"))
    async with store.transaction() as connection:
        (found,) = await unresolved(connection)
        assert (found.tenant, found.route) == ("acme", "POST /orders")
        await free_unresolved(connection, found.key)
    assert (await door.serve(exchange())).status == 201


@pytest.mark.integration
async def test_an_answer_that_cannot_be_stored_still_goes_out(door, monkeypatch):
    async def down(*_):
        raise Unavailable("down")

    monkeypatch.setattr(door.policy._records, "complete", down)
    assert (await door.serve(exchange())).status == 201
    assert ({"outcome": "not_stored"}, 1) in list(door.policy._outcomes.series())


RACER = """
import asyncio, sys
sys.path.insert(0, sys.argv[3])
from gateway.store.postgres import Store
from policies.idempotency.policy import IdempotencyPolicy
from tests.policies.idempotency.conftest import RING, Door, exchange

async def main(url, seed):
    store = Store(url, size=5)
    await store.open()
    door = Door(IdempotencyPolicy(store, RING))
    print("ready", flush=True)
    sys.stdin.readline()

    async def one(number):
        async def effect(_):
            await store.execute("insert into effect (key) values ($1)", number)
        await door.serve(exchange(b"race-%d" % number), during=effect)

    for start in range(0, 60, 10):
        await asyncio.gather(*(one(number) for number in range(start, start + 10) for _ in range(2)))
    await store.close()

asyncio.run(main(sys.argv[1], sys.argv[2]))
"""


@pytest.mark.integration
async def test_two_processes_racing_with_the_same_keys_execute_each_once(idempotency_database, store):
    await store.execute("create table effect (key integer not null)")
    root = str(Path(__file__).parents[3])
    racers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", RACER, idempotency_database, str(number), root,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )
        for number in range(2)
    ]  # fmt: skip
    for racer in racers:
        assert await asyncio.wait_for(racer.stdout.readline(), 60) == b"ready\n"
    for racer in racers:
        racer.stdin.write(b"go\n")
    outputs = await asyncio.wait_for(asyncio.gather(*(racer.communicate() for racer in racers)), 120)
    assert [racer.returncode for racer in racers] == [0, 0], outputs
    rows = await store.fetch("select key, count(*) as times from effect group by key")
    assert len(rows) == 60
    assert {row["times"] for row in rows} == {1}
    await store.execute("drop table effect")


@pytest.mark.parametrize("seconds", [0, -1, 31 * 86_400 + 1])
def test_keys_live_31_days_at_most(seconds):
    with pytest.raises(Misconfigured, match="31 days"):
        IdempotencyOptions(retention={"POST /orders": seconds})
    IdempotencyOptions(retention={"POST /orders": 31 * 86_400})


@pytest.mark.integration
async def test_a_key_lives_as_long_as_its_route_or_the_settings_say(make_door, store):
    lives = "select round(extract(epoch from expires_at - created_at)) from idempotency.record"
    for options, route, expected in (
        ({}, {"idempotency_retention": 7_200}, 7_200),
        ({"retention": {"POST /orders": 3_600}}, {"idempotency_retention": 7_200}, 3_600),
        ({"retention": {"POST /other": 3_600}}, {}, 86_400),
    ):
        await make_door(**options).serve(exchange(**route))
        assert await store.fetchval(lives) == expected
        await store.execute("delete from idempotency.record")


@pytest.mark.integration
async def test_a_lost_body_that_was_only_observed_is_recalled_as_its_handler_saw_it(make_door, store):
    """The route observed when the request came: an unknown member was left out, and the handler was reached."""

    class Order(Struct, forbid_unknown_fields=True):
        number: int

    recaller = Recaller(Reply(201, list(CREATED.headers), b'{"id":"1"}'))
    door = make_door(recallers={"POST /orders": recaller})
    sent = {"body": b'{"number":"5","x":1}', "decode": json_decoder(Order), "forgive": forgiving_decoder(Order)}
    await door.policy.admit(exchange(**sent))
    await end_lease(store)
    assert (await door.serve(exchange(**sent))).status == 201
    assert recaller.asked == [("acme", "k1", b'{"number":5}')]
    assert door.executions == 0


@pytest.mark.integration
async def test_where_a_large_answer_can_be_read_is_told(make_door):
    door = make_door(largest_reply=5)
    await door.serve(exchange())
    refused = await door.serve(exchange())
    assert refused.code == "idempotency.answer_not_kept"
    assert "status 201" in refused.detail
    assert "/orders/1" in refused.detail
