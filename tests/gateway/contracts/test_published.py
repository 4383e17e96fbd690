"""What is published below `openapi/`: true to the code, valid to others' validators, with examples that hold."""

from __future__ import annotations

import io
import shutil
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.app import published_apis
from gateway.cli import main
from gateway.contracts.document import build_document
from gateway.contracts.reading import read_document

FOLDER = Path(__file__).parents[3] / "openapi"
DOCUMENTS = sorted(FOLDER.rglob("v*.yaml"))
STOREFRONT = FOLDER / "experience" / "storefront" / "v1.yaml"


@cache
def read(path: Path) -> dict[str, Any]:
    return read_document(path.name, path.read_bytes())


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for item in document["paths"].values() for operation in item.values()]


def walk(node: Any) -> Any:
    yield node
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from walk(child)


def fits(document: dict[str, Any], schema: Any, value: Any) -> bool:
    whole = {**schema, "components": document["components"]}
    return jsonschema_rs.validator_for(whole, validate_formats=True).is_valid(value)


def test_what_is_published_is_what_the_code_serves(capsys):
    assert main(["contracts", "export", "--check", "--folder", str(FOLDER)]) == 0, capsys.readouterr().out


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What the check says of a copy in which a bound and a name differ, and a contract stands that nobody serves."""
    folder = tmp_path_factory.mktemp("checked") / "openapi"
    shutil.copytree(FOLDER, folder)
    shutil.copytree(folder / "process" / "items", folder / "process" / "gone")
    for version, published, other in (
        ("v1", "maxLength: 64", "maxLength: 65"),
        ("v2", "operationId: listItems", "operationId: allItems"),
    ):
        path = folder / "experience" / "storefront" / f"{version}.yaml"
        path.write_text(path.read_text(encoding="utf-8").replace(published, other), encoding="utf-8")
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        assert main(["contracts", "export", "--check", "--folder", str(folder)]) == 1
    return out.getvalue(), err.getvalue()


def test_what_is_written_is_what_is_published(tmp_path):
    assert main(["contracts", "export", "--folder", str(tmp_path)]) == 0
    written = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.yaml"))
    assert {FOLDER / path for path in written} == {*DOCUMENTS, FOLDER / "asyncapi.yaml"}
    assert all((tmp_path / path).read_bytes() == (FOLDER / path).read_bytes() for path in written)


def test_a_contract_that_differs_or_that_nobody_serves_is_found(told):
    out, err = told
    assert "-          maxLength: 65" in out
    assert "process/gone/v1.yaml" in out
    assert "crossdock contracts export" in err


def test_the_check_says_what_a_difference_means_to_consumers(told):
    assert "BREAKING: GET /storefront/v2/items allItems → listItems" in told[0]


def test_every_served_version_is_published():
    assert {FOLDER / api.path for api in published_apis()} == set(DOCUMENTS)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(FOLDER)))
def test_an_independent_validator_finds_nothing_wrong(path):
    assert [error.message for error in OpenAPIV31SpecValidator(read(path)).iter_errors()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(FOLDER)))
def test_every_number_has_a_format_and_every_input_is_closed(path):
    document = read(path)
    for node in walk(document):
        if isinstance(node, dict) and node.get("type") in ("integer", "number"):
            assert "format" in node, node
    schemas = document["components"]["schemas"]
    for operation in operations(document):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            name = content["schema"].get("$ref", "").rpartition("/")[2]
            assert not name or schemas[name].get("additionalProperties") is False, name


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(FOLDER)))
def test_every_example_fits_its_schema(path):
    document = read(path)
    for node in walk(document):
        if isinstance(node, dict) and isinstance(node.get("schema"), dict) and "example" in node:
            assert fits(document, node["schema"], node["example"]), node
        if isinstance(node, dict) and "examples" in node and "type" in node:
            assert all(fits(document, node, example) for example in node["examples"]), node


def test_every_text_and_list_a_partner_sends_is_bounded():
    document = read(STOREFRONT)
    sent = [parameter["schema"] for operation in operations(document) for parameter in operation["parameters"]]
    schemas = document["components"]["schemas"]
    sent += [schema for schema in schemas.values() if schema.get("additionalProperties") is False]
    for node in walk(sent):
        if isinstance(node, dict) and node.get("type") == "string":
            assert {"maxLength", "enum", "format"} & set(node), node
            assert {"pattern", "enum", "format"} & set(node), node
        if isinstance(node, dict) and node.get("type") == "array":
            assert "maxItems" in node, node
        if isinstance(node, dict) and node.get("type") == "integer":
            assert {"minimum", "maximum"} <= set(node), node


def test_every_link_leads_to_an_operation_and_names_its_parameters():
    document = read(STOREFRONT)
    known = {operation["operationId"]: operation for operation in operations(document)}
    links = [
        (operation["operationId"], link)
        for operation in known.values()
        for response in operation["responses"].values()
        for link in response.get("links", {}).values()
    ]
    leads = {(source, link["operationId"]) for source, link in links}
    assert {("placeOrder", name) for name in ("getOrder", "monitorOrder", "cancelOrder")} <= leads
    assert ("listItems", "getItem") in leads
    for _, link in links:
        taken = {parameter["name"] for parameter in known[link["operationId"]]["parameters"]}
        assert set(link["parameters"]) <= taken


def test_the_storefront_publishes_its_webhooks():
    document = read(STOREFRONT)
    assert set(document["webhooks"]) == {"availability.changed", "order.updated"}
    for name, item in document["webhooks"].items():
        schema = item["post"]["requestBody"]["content"]["application/json"]["schema"]
        payload = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        assert payload["properties"]["type"]["enum"] == [name]
        headers = {parameter["name"] for parameter in item["post"]["parameters"]}
        assert headers == {"webhook-id", "webhook-timestamp", "webhook-signature"}


def test_a_document_is_the_same_every_time_it_is_built():
    first, second = ([build_document(api) for api in published_apis()] for _ in range(2))
    assert first == second
