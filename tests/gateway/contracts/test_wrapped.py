"""The contract that we publish of an API that we pass on: ours in front, theirs behind, no word of the inside."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

import pytest
from msgspec.structs import replace
from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator

from gateway.apis import wrapped_api
from gateway.contracts.document import build_document
from gateway.edge.strict import parse_json
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Misconfigured
from gateway.kernel.lifecycle import Lifecycle, Slo
from gateway.systems.proxied.api import ProxiedApi
from gateway.systems.proxied.document import Document
from gateway.systems.proxied.options import ProxiedOptions
from gateway.telemetry.counters import Counters

PART = {"$ref": "#/components/schemas/Part"}
GIVEN: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Parts", "version": "7", "description": "Parts of the old shop."},
    "servers": [{"url": "https://inside.example/base"}],
    "security": [{"basic": []}],
    "tags": [{"name": "Parts", "description": "All about parts."}],
    "paths": {
        "/parts": {
            "get": {
                "operationId": "listParts",
                "tags": ["Parts"],
                "x-table": "PARTS_T",
                "parameters": [
                    {"$ref": "#/components/parameters/limit"},
                    {"name": "X-Api-Key", "in": "header", "required": True, "schema": {"type": "string"}},
                ],
                "responses": {
                    "200": {
                        "description": "Some.",
                        "headers": {
                            "Server": {"schema": {"type": "string"}},
                            "X-Total": {"schema": {"type": "string"}},
                        },
                        "content": {"application/json": {"schema": {"type": "array", "items": PART}}},
                        "links": {
                            "one": {"operationId": "getPart", "parameters": {"id": "$response.body#/0/id"}},
                            "gone": {"operationId": "secretOperation"},
                        },
                    },
                    "400": {"description": "Theirs.", "content": {"text/plain": {}}},
                },
            },
            "post": {
                "security": [{"basic": []}],
                "callbacks": {"done": {"{$request.body#/url}": {"post": {"responses": {}}}}},
                "requestBody": {"required": True, "content": {"application/json": {"schema": PART}}},
                "responses": {"201": {"description": "Made."}, "default": {"$ref": "#/components/responses/Failed"}},
            },
        },
        "/parts/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
            "get": {
                "operationId": "getPart",
                "responses": {
                    "200": {
                        "description": "One.",
                        "content": {
                            "application/json": {
                                "schema": {
                                    "oneOf": [PART, {"$ref": "#/components/schemas/Kit"}],
                                    "discriminator": {
                                        "propertyName": "kind",
                                        "mapping": {"tool": "#/components/schemas/Tool"},
                                    },
                                }
                            }
                        },
                    }
                },
            },
        },
        "/secret": {
            "get": {
                "operationId": "secretOperation",
                "responses": {
                    "200": {
                        "description": "Hidden.",
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Secret"}}},
                    }
                },
            }
        },
    },
    "components": {
        "parameters": {"limit": {"name": "limit", "in": "query", "schema": {"type": "integer"}}},
        "responses": {
            "Failed": {
                "description": "It failed.",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            }
        },
        "schemas": {
            "Part": {
                "type": "object",
                "properties": {"kit": {"$ref": "#/components/schemas/Kit"}, "note": {"type": "string"}},
            },
            "Kit": {"type": "object", "properties": {"parts": {"type": "array", "items": PART}}},
            "Tool": {"type": "object", "properties": {"name": {"type": "string"}}},
            "Problem": {"type": "string"},
            "Secret": {"type": "object"},
        },
        "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
    },
}


def api_of(given: dict[str, Any] = GIVEN, **options: Any) -> Any:
    typed = ProxiedOptions(
        base_url="https://inside.example/base",
        openapi="-",
        business_owner="Sales",
        technical_owner="the parts team",
        exclude=("secretOperation",),
        costs={"listParts": 3},
        **options,
    )
    proxied = ProxiedApi(
        "parts", typed, Document(given, "here"), clock=SystemClock(), counters=Counters(), parse=parse_json
    )
    return wrapped_api(proxied)


def test_a_contract_stands_under_our_paths_with_our_security_and_an_independent_validator_takes_it():
    document = build_document(api_of())
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []
    assert set(document["paths"]) == {"/system/parts/v1/parts", "/system/parts/v1/parts/{id}"}
    listing = document["paths"]["/system/parts/v1/parts"]["get"]
    assert listing["security"] == [{"oauth2": ["system:read"]}, {"apiKey": []}]
    assert (listing["x-cost"], listing["description"]) == (3, "listParts")
    assert set(document["components"]["securitySchemes"]) == {"oauth2", "apiKey"}
    posting = document["paths"]["/system/parts/v1/parts"]["post"]
    assert posting["operationId"] == "postParts"
    assert "Idempotency-Key" in {parameter["name"] for parameter in posting["parameters"]}


def test_what_nobody_here_sees_is_not_told():
    told = str(build_document(api_of()))
    for hidden in ("inside.example", "basic", "PARTS_T", "ecret", "callbacks", "'Server'"):
        assert hidden not in told, hidden
    listing = build_document(api_of())["paths"]["/system/parts/v1/parts"]["get"]
    assert [parameter["name"] for parameter in listing["parameters"]] == ["limit"]
    answer = listing["responses"]["200"]
    assert set(answer["links"]) == {"one"}
    assert {"X-Total", "X-Request-Id", "RateLimit"} <= set(answer["headers"])


def test_a_status_that_both_may_answer_says_both():
    document = build_document(api_of())
    listing = document["paths"]["/system/parts/v1/parts"]["get"]["responses"]
    assert set(listing["400"]["content"]) == {"text/plain", "application/problem+json"}
    assert listing["429"] == {"$ref": "#/components/responses/GatewayProblem429"}
    posting = document["paths"]["/system/parts/v1/parts"]["post"]["responses"]
    both = posting["503"]["content"]["application/problem+json"]["schema"]["anyOf"]
    assert both == [{"$ref": "#/components/schemas/Problem"}, {"$ref": "#/components/schemas/GatewayProblem"}]
    assert document["components"]["schemas"]["Problem"] == {"type": "string"}
    assert {"Part", "Kit", "Tool"} <= set(document["components"]["schemas"])


def test_dates_owners_and_service_level_are_told_in_the_contract():
    api = api_of(slo=Slo(availability_percent=99.5, latency_p99_ms=800), since=date(2026, 1, 1), notice="Use v2.")
    ends = Lifecycle(
        api="parts",
        version="v1",
        deprecated_at=datetime(2027, 1, 1, tzinfo=UTC),
        sunset_at=datetime(2028, 1, 1, tzinfo=UTC),
    )
    document = build_document(replace(api, lifecycle=ends))
    assert document["info"]["x-slo"] == {"availability_percent": 99.5, "latency_p99_ms": 800}
    assert document["info"]["x-lifecycle"]["since"] == "2026-01-01"
    operation = document["paths"]["/system/parts/v1/parts/{id}"]["get"]
    assert operation["deprecated"] is True
    assert {"Deprecation", "Sunset", "Link"} <= set(operation["responses"]["200"]["headers"])
    assert "410" in operation["responses"]


def test_a_document_of_3_0_stays_one():
    given = {
        "openapi": "3.0.3",
        "info": {"title": "Old", "version": "1"},
        "paths": {
            "/secret": GIVEN["paths"]["/secret"],
            "/old": {"get": {"operationId": "listParts", "responses": {"200": {"description": "Old."}}}},
        },
        "components": {"schemas": {"Secret": {"type": "object", "nullable": True}}},
    }
    document = build_document(api_of(given))
    assert document["openapi"] == "3.0.3"
    assert [error.message for error in OpenAPIV30SpecValidator(document).iter_errors()] == []


def test_a_reference_into_their_paths_is_written_out():
    schema = GIVEN["paths"]["/parts/{id}"]["parameters"][0]["schema"]
    paths = {
        **GIVEN["paths"],
        "/more": {
            "get": {
                "parameters": [{"$ref": "#/paths/~1parts~1{id}/parameters/0"}],
                "responses": {"200": {"description": "More."}},
            }
        },
    }
    parameters = build_document(api_of({**GIVEN, "paths": paths}))["paths"]["/system/parts/v1/more"]["get"][
        "parameters"
    ]
    assert parameters[0]["name"] == "id"
    assert parameters[0]["schema"].items() >= schema.items()


def test_what_the_door_refuses_beyond_the_document_is_told_where_callers_send_it():
    whole = 10**18 - 1
    document = build_document(api_of())
    listing = document["paths"]["/system/parts/v1/parts"]["get"]
    assert listing["parameters"][0]["schema"] == {"type": "integer", "minimum": -whole, "maximum": whole}
    (identity,) = document["paths"]["/system/parts/v1/parts/{id}"]["get"]["parameters"]
    pattern = re.compile(identity["schema"]["pattern"])
    assert [bool(pattern.search(text)) for text in ("a b", "é", "..", "a/b", "", "a\x07")] == [True] * 2 + [False] * 4
    note = document["components"]["schemas"]["Part"]["properties"]["note"]
    told = re.compile(note["pattern"])
    assert [bool(told.search(text)) for text in ("two\nlines\t", "\x07", "\x85")] == [True, False, False]
    assert document["components"]["schemas"]["Tool"]["properties"]["name"] == {"type": "string"}


@pytest.mark.parametrize("version", ["1", "v0", "V1", "v1/x", ""])
def test_a_version_is_a_major_one(version):
    with pytest.raises(Misconfigured, match="major version"):
        api_of(version=version)
