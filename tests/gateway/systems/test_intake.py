import pytest

from gateway.kernel.errors import Unavailable
from gateway.systems.intake import intake_routes

RIGHT = {"x-signature": "right", "content-type": "application/json"}


@pytest.fixture
def client(directory, recorder, behind_the_door):
    return behind_the_door(intake_routes(directory, recorder, recorder, tenant="acme"))[1]


async def test_a_signed_webhook_is_answered_after_it_was_recorded(client, recorder):
    answer = await client.post("/webhooks/v1/wms_north", content=b"[1, 2]", headers=RIGHT)
    assert (answer.status_code, answer.content) == (204, b"")
    assert recorder.sequences == [1, 2]


async def test_a_webhook_that_could_not_be_recorded_is_to_be_sent_again(client, recorder):
    recorder.error = Unavailable("the record cannot be reached", code="store.unavailable")
    answer = await client.post("/webhooks/v1/wms_north", content=b"[1]", headers=RIGHT)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize("headers", [{}, {"x-signature": "wrong"}])
async def test_a_webhook_without_the_right_signature_is_refused_and_not_recorded(client, recorder, headers):
    answer = await client.post(
        "/webhooks/v1/wms_north", content=b"[1]", headers={**headers, "content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (401, "webhook.bad_signature")
    assert recorder.reports == []


@pytest.mark.parametrize("instance", ["erp", "no_such"])
async def test_only_systems_that_send_webhooks_have_a_door_for_them(client, instance):
    assert (await client.post(f"/webhooks/v1/{instance}", content=b"[1]", headers=RIGHT)).status_code == 404


async def test_milestones_go_to_who_keeps_them_and_are_sent_again_where_that_failed(client, recorder):
    answer = await client.post("/webhooks/v1/carrier", content=b"{}", headers=RIGHT)
    assert (answer.status_code, len(recorder.milestones), recorder.reports) == (204, 1, [])
    recorder.error = Unavailable("the record cannot be reached", code="store.unavailable")
    assert (await client.post("/webhooks/v1/carrier", content=b"{}", headers=RIGHT)).status_code == 503
