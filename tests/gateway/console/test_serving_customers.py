"""What customer service does to an order from its page, through order to ship, once and on the version they saw."""

from decimal import Decimal

import pytest

from .seeding import seed_order

pytestmark = pytest.mark.integration
HTMX = {"hx-request": "true"}


async def test_who_repairs_holds_cancels_moves_and_splits_from_the_orders_page(console):
    order = await seed_order(console.store, "PO-1", "promised")
    viewer, token = await console.person("view")
    async with viewer:
        assert "/service" not in (await viewer.get(f"/orders/{order}")).text
        refused = await viewer.post(f"/orders/{order}/service", data={"csrf_token": token, "verb": "hold"})
        assert refused.status_code == 403
    client, token = await console.person("view", "repair")
    form = {"csrf_token": token, "version": "1", "reason": " the buyer called "}
    async with client:
        page = (await client.get(f"/orders/{order}")).text
        assert (f"/orders/{order}/service" in page, 'name="version" value="1"' in page) == (True, True)
        path = f"/orders/{order}/service"
        held = await client.post(path, data={**form, "verb": "hold"})
        assert (held.status_code, held.headers["location"]) == (303, f"/orders/{order}")
        line = {**form, "line": "2", "amount": "1.5", "location": "WH-W"}
        for verb in ("cancel", "reallocate", "split"):
            assert (await client.post(path, data={**line, "verb": verb}, headers=HTMX)).status_code == 200
        again = await client.post(path, data={**line, "verb": "split"}, headers=HTMX)
        assert again.headers["hx-trigger"] == "refresh"
        stale = await client.post(path, data={**form, "version": "2", "verb": "hold"}, headers=HTMX)
        assert (stale.status_code, "somebody changed this" in stale.text) == (409, True)
    asked = [(verb, more["line"], more["amount"], more["location"]) for _, _, verb, more in console.orders.asked]
    assert asked[:4] == [
        ("hold", None, None, None), ("cancel", 2, Decimal("1.5"), None), ("reallocate", 2, Decimal("1.5"), "WH-W"),
        ("split", 2, Decimal("1.5"), None),
    ]  # fmt: skip
    actions = [more["action"] for *_, more in console.orders.asked]
    assert (len(set(actions[:4])), actions[3] == actions[4]) == (4, True)
    assert {(who, more["reason"]) for who, _, _, more in console.orders.asked} == {
        ("console/view-repair-person", "the buyer called")
    }


@pytest.mark.parametrize(
    "wrong", [{"verb": "ship"}, {"reason": " "}, {"line": "x"}, {"line": ""}, {"amount": "NaN"}, {"amount": "-1"},
              {"version": ""}, {"amount": "1e-10"}],
)  # fmt: skip
async def test_a_form_that_makes_no_sense_asks_for_nothing(console, wrong):
    order = await seed_order(console.store, "PO-1", "promised")
    client, token = await console.person("view", "repair")
    form = {"csrf_token": token, "version": "1", "reason": "why", "verb": "cancel", "line": "1"}
    async with client:
        assert (await client.post(f"/orders/{order}/service", data={**form, **wrong})).status_code == 422
    assert console.orders.asked == []
