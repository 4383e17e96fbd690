"""Retry, replay, resolve and redeliver: through the processes' own functions, audited."""

import pytest

from .seeding import TENANT, seed_letter, seed_order

pytestmark = pytest.mark.integration
HTMX = {"hx-request": "true"}


async def audit_of(console):
    query = "select actor, action, subject, outcome from store.audit where actor <> 'cli' order by id"
    rows = await console.store.fetch(query)
    return [tuple(row) for row in rows]


async def test_a_retry_is_handed_to_order_to_ship_in_the_persons_name(console):
    client, token = await console.person("view", "repair")
    async with client:
        plain = await client.post("/exceptions/exc_1/retry", data={"csrf_token": token})
        fragment = await client.post("/exceptions/exc_1/retry", data={"csrf_token": token}, headers=HTMX)
        clash = await client.post("/exceptions/exc_resolved/retry", data={"csrf_token": token}, headers=HTMX)
    assert console.orders.asked[0] == (TENANT, "console/view-repair-person", "exc_1")
    assert plain.headers["location"] == "/"
    assert (fragment.status_code, fragment.headers["hx-trigger"]) == (200, "refresh")
    assert clash.status_code == 409
    assert "resolved already" in clash.text


async def test_a_dead_letter_is_replayed_and_resolved_with_a_reason(console):
    await seed_order(console.store, "PO-1", "promised")
    letter = await seed_letter(console.store, "no such item")
    client, token = await console.person("view", "repair")
    async with client:
        await client.post(f"/dead-letters/{letter}/replay", data={"csrf_token": token})
        state = await console.store.fetchval("select state from store.dead_letter where id = $1", letter)
        assert state == "retrying"
        path = f"/dead-letters/{letter}/resolve"
        assert (await client.post(path, data={"csrf_token": token, "reason": " "})).status_code == 422
        assert (await client.post(path, data={"csrf_token": token, "reason": "a test"})).status_code == 303
        assert (await client.post(path, data={"csrf_token": token, "reason": "a test"})).status_code == 409
    person = "console/view-repair-person"
    assert await audit_of(console) == [
        (person, "dead_letter.replay", f"dead_letter/{letter}", "done"),
        (person, "dead_letter.resolve", f"dead_letter/{letter}", "done"),
    ]


async def test_a_held_order_is_released_by_who_may_approve_and_with_a_reason(console):
    order = await seed_order(console.store, "PO-1", "promised")
    await console.store.execute("update order_to_ship.sales_order set hold_reason = 'credit_limit'")
    repairer, token = await console.person("view", "repair")
    async with repairer:
        assert "/release" not in (await repairer.get(f"/orders/{order}")).text
        asked = await repairer.post(f"/orders/{order}/release", data={"csrf_token": token, "reason": "paid"})
        assert asked.status_code == 403
    approver, token = await console.person("view", "approve")
    async with approver:
        assert f"/orders/{order}/release" in (await approver.get(f"/orders/{order}")).text
        path = f"/orders/{order}/release"
        assert (await approver.post(path, data={"csrf_token": token, "reason": " "})).status_code == 422
        assert (await approver.post(path, data={"csrf_token": token, "reason": " paid today "})).status_code == 303
        free = await approver.post("/orders/ord_free/release", data={"csrf_token": token, "reason": "x"}, headers=HTMX)
        await console.store.execute("update order_to_ship.sales_order set hold_reason = null")
        assert "/release" not in (await approver.get(f"/orders/{order}")).text
    assert console.orders.asked[0] == (TENANT, "console/view-approve-person", order, "paid today")
    assert (free.status_code, "not held" in free.text) == (409, True)


async def test_a_redelivery_leaves_its_trace_even_when_it_fails(console):
    client, token = await console.person("view", "repair")
    async with client:
        assert (await client.post("/webhooks/msg_1/redeliver", data={"csrf_token": token})).status_code == 303
        assert (await client.post("/webhooks/msg_unknown/redeliver", data={"csrf_token": token})).status_code == 404
    assert console.messages.asked == [(TENANT, "msg_1"), (TENANT, "msg_unknown")]
    assert [(action, subject, outcome) for _, action, subject, outcome in await audit_of(console)] == [
        ("webhook.redeliver", "msg_1", "asked"),
        ("webhook.redeliver", "msg_unknown", "asked"),
        ("webhook.redeliver", "msg_unknown", "failed: message.not_found"),
    ]
