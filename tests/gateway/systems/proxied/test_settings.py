"""What does not start, and says why."""

import copy

import msgspec
import pytest
from proxied_upstreams import DOCUMENT

from gateway.kernel.errors import Misconfigured
from gateway.systems.proxied.document import Document, load_document
from gateway.systems.proxied.options import ProxiedOptions, UpstreamCredential
from gateway.systems.proxied.schemas import Schemas

pytestmark = pytest.mark.integration  # a site stands before a listening server


def changed(path, value):
    document = copy.deepcopy(DOCUMENT)
    inner = document
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return document


def test_websockets_cannot_be_passed_and_that_is_said():
    with pytest.raises((Misconfigured, msgspec.ValidationError), match="WebSockets"):
        msgspec.convert(
            {
                "base_url": "https://a.example",
                "openapi": "a",
                "business_owner": "b",
                "technical_owner": "t",
                "websocket": "passed",
            },
            ProxiedOptions,
        )


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (changed(["openapi"], "2.0"), "3.0.x or 3.1.x"),
        (changed(["paths"], {}), "no operation"),
        (changed(["paths", "/items", "get"], {"$ref": "other.yaml#/x", "responses": {}}), None),
        (changed(["components", "schemas", "Item", "properties", "made"], {"$ref": "b.json"}), "bundle"),
        (changed(["components", "schemas", "Item", "properties", "made"], {"$ref": "#/components/schemas/No"}), "No"),
        (changed(["components", "schemas", "Item", "properties", "sku"], {"pattern": "(["}), "regex"),
    ],
)
def test_a_document_that_cannot_be_served_exactly_does_not_start(make_site, document, said):
    if said is None:
        make_site(document)
        return
    with pytest.raises(Misconfigured, match=said):
        make_site(document)


@pytest.mark.parametrize("path", ["/items/{sku}.json", "/a//b", "/x{y}"])
def test_a_path_that_the_door_cannot_match_exactly_does_not_start_unless_it_is_left_out(make_site, path):
    document = changed(["paths", path], {"get": {"operationId": "odd", "responses": {}}})
    with pytest.raises(Misconfigured, match="exclude"):
        make_site(document)
    assert make_site(document, exclude=["odd"])


@pytest.mark.parametrize("named", [{"exclude": ["nope"]}, {"streaming": ["nope"]}, {"costs": {"nope": 2}}])
def test_a_setting_about_an_operation_that_is_not_there_does_not_start(make_site, named):
    with pytest.raises(Misconfigured, match="nope"):
        make_site(**named)


def test_yaml_is_read_as_json_schema_sees_it(tmp_path):
    path = tmp_path / "api.yaml"
    path.write_text(
        "openapi: 3.0.3\npaths:\n  /a:\n    get:\n      responses:\n        200: {description: ok}\n"
        "x: [2026-01-01, on, yes, true, 1]\n",
        encoding="utf-8",
    )
    document = load_document(path, setting="here")
    assert document.content["x"] == ["2026-01-01", "on", "yes", True, 1]
    (operation,) = document.operations()
    assert (operation.identity, list(operation.answers)) == ("GET /a", ["200"])


def test_schemas_of_openapi_3_0_mean_what_they_mean_there():
    schema = {"type": "number", "nullable": True, "minimum": 1, "exclusiveMinimum": True}
    document = Document({"openapi": "3.0.3", "paths": {}}, "here")
    validator = Schemas(document, "readOnly").validator(schema, "here")
    assert [validator.is_valid(value) for value in (None, 1, 1.5, "1")] == [True, False, True, False]


def test_a_member_that_does_not_travel_in_a_direction_is_not_required_in_it():
    document = Document(DOCUMENT, "here")
    item = {"$ref": "#/components/schemas/Item"}
    assert Schemas(document, "readOnly").validator(item, "here").is_valid({"sku": "A"})
    assert not Schemas(document, "writeOnly").validator(item, "here").is_valid({"sku": "A"})


def test_a_token_url_needs_its_client():
    with pytest.raises(ValueError, match="client_id"):
        UpstreamCredential(secret="env:A", token_url="https://a.example/token")
