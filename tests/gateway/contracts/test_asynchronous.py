"""What is told unasked is published: every webhook, stream and event of the log, in the shapes that are encoded."""

import jsonschema_rs
import msgspec
import pytest
import yaml

from experience_apis.storefront.v1 import messages as messages_v1
from experience_apis.storefront.v2 import messages as messages_v2
from gateway.app import published_apis
from gateway.canonical.events import TAXONOMY, Event, Position, Recorded
from gateway.contracts.asynchronous import build_asyncapi
from gateway.contracts.export import differences, export
from gateway.kernel.clock import SystemClock


@pytest.fixture(scope="module")
def apis():
    return published_apis()


@pytest.fixture(scope="module")
def document(apis):
    return build_asyncapi(apis)


def resolved(document, schema):
    return jsonschema_rs.validator_for({**schema, "components": document["components"]})


def test_every_event_of_the_log_has_a_channel_and_nothing_else_has(document):
    told = {name.removeprefix("log.") for name in document["channels"] if name.startswith("log.")}
    assert told == set(TAXONOMY)


@pytest.mark.parametrize(("version", "kinds"), [("v1", messages_v1.MESSAGES), ("v2", messages_v2.MESSAGES)])
def test_webhooks_of_a_version_tell_its_messages(document, version, kinds):
    assert set(document["channels"][f"storefront.{version}.webhooks"]["messages"]) == set(kinds)


def test_a_stream_tells_what_webhooks_do_and_its_own_end(document):
    stream = document["channels"]["storefront.v2.events"]
    assert set(stream["messages"]) == {*messages_v2.MESSAGES, *messages_v2.NOTICES}
    assert stream["address"] == "/storefront/v2/events"


def test_every_operation_names_a_channel_and_every_reference_leads_somewhere(document):
    def references(part):
        if isinstance(part, dict):
            yield from ([part["$ref"]] if "$ref" in part else ())
            part = list(part.values())
        if isinstance(part, list):
            for each in part:
                yield from references(each)

    for reference in set(references(document)):
        place = document
        for step in reference.removeprefix("#/").split("/"):
            assert step in place, reference
            place = place[step]
    used = {operation["channel"]["$ref"].removeprefix("#/channels/") for operation in document["operations"].values()}
    assert used == set(document["channels"])


def test_what_the_carrier_is_given_fits_its_channel_and_no_other(document):
    now = SystemClock().now()
    event = Event(
        tenant="acme", type="item.changed", aggregate="itm_1", aggregate_version=1, occurred_at=now, data={"item": "1"},
        correlation_id="cor_1",
    )  # fmt: skip
    told = msgspec.json.decode(
        msgspec.json.encode(Recorded(position=Position(1, 2, 3), recorded_at=now, event=event, version=1))
    )
    fitting = [
        name
        for name, channel in document["channels"].items()
        if name.startswith("log.")
        and resolved(document, next(iter(channel["messages"].values()))["payload"]).is_valid(told)
    ]
    assert fitting == ["log.item.changed"]


def test_it_is_written_and_compared_like_every_contract(apis, tmp_path):
    few = [api for api in apis if api.webhooks]
    export(few, tmp_path)
    assert differences(few, tmp_path) == []
    path = tmp_path / "asyncapi.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    del document["channels"]["log.item.changed"]
    path.write_text(yaml.dump(document), encoding="utf-8")
    [found] = differences(few, tmp_path)
    assert "asyncapi.yaml" in found
