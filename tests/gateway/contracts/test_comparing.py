"""What breaks a consumer and what does not: laws over our own published documents and over small schemas."""

import copy
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import jsonschema_rs
import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.contracts.changes import ANSWER, REQUEST, Document
from gateway.contracts.comparing import compare_documents, compare_publications
from gateway.contracts.schema_changes import SchemaChanges

FOLDER = Path(__file__).parents[3] / "openapi"
NAMES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("v*.yaml"))


@cache
def published(name):
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load((FOLDER / name).read_text(encoding="utf-8"), Loader=loader)


def resolved(document, node):
    while "$ref" in node:
        found = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def operations(document):
    return [operation for item in document["paths"].values() for operation in item.values()]


def bodies(document, side):
    """The top schemas of what operations take or answer."""
    for operation in operations(document):
        told = [operation["requestBody"]] if "requestBody" in operation else []
        if side == "answer":
            told = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
        for each in told:
            for media in resolved(document, each).get("content", {}).values():
                yield media["schema"]


def schemas(document, side):
    """Every schema inside of them, each once."""
    seen, waiting = [], list(bodies(document, side))
    while waiting:
        node = resolved(document, waiting.pop())
        if any(node is other for other in seen):
            continue
        seen.append(node)
        waiting += node.get("properties", {}).values()
        waiting += node.get("anyOf", [])
        waiting += [node["items"]] if "items" in node else []
    return seen


def objects(document, side):
    return [node for node in schemas(document, side) if node.get("properties")]


def parameters(document, *, required=None, place=("query", "header")):
    return [
        (operation, parameter)
        for operation in operations(document)
        for parameter in operation["parameters"]
        if parameter["in"] in place and required in (None, parameter["required"])
    ]


def answers(document):
    return [
        answer
        for operation in operations(document)
        for status, answer in operation["responses"].items()
        if status.startswith("2")
    ]


def having(nodes, *words):
    return [node for node in nodes if all(word in node for word in words)]


# --- what breaks: (name, the places where it can be done, what is done there) -----------------------------------------


def _in_paths(document):
    return [(item, method) for item in document["paths"].values() for method in item]


def _optional_fields(side):
    return lambda document: [
        (node, name)
        for node in objects(document, side)
        for name in node["properties"]
        if name not in node.get("required", [])
    ]


def _fields(side):
    return lambda document: [(node, name) for node in objects(document, side) for name in node["properties"]]


def _drop_field(place):
    node, name = place
    del node["properties"][name]
    node["required"] = [each for each in node.get("required", []) if each != name]


def _tag(schema):
    """The values of a field ``type`` that is one of few: only messages of webhooks have it."""
    return schema.get("properties", {}).get("type", {}).get("enum")


def _raised(word, by):
    def change(node):
        node[word] += by

    return change


BREAKING = {
    "an operation is removed": (_in_paths, lambda place: place[0].pop(place[1])),
    "an operation is called otherwise": (operations, lambda each: each.update(operationId="renamed")),
    "an operation costs more": (operations, lambda each: each.update({"x-cost": each["x-cost"] + 1})),
    "a parameter is removed": (parameters, lambda place: place[0]["parameters"].remove(place[1])),
    "an optional parameter is required": (
        lambda document: parameters(document, required=False),
        lambda place: place[1].update(required=True),
    ),
    "a required parameter is added": (
        operations,
        lambda each: each["parameters"].append({"name": "new", "in": "query", "required": True, "schema": {}}),
    ),
    "a parameter's default is another": (
        lambda document: [each for _, each in parameters(document) if "default" in each["schema"]],
        lambda each: each["schema"].update(default="another"),
    ),
    "a parameter takes shorter texts": (
        lambda document: having([each["schema"] for _, each in parameters(document)], "maxLength"),
        _raised("maxLength", -1),
    ),
    "an answer's status is another": (
        operations,
        lambda each: each["responses"].update({"299": each["responses"].pop(next(iter(each["responses"])))}),
    ),
    "an answer's header is gone": (answers, lambda each: each["headers"].pop("X-Request-Id")),
    "an answer's content type is another": (
        lambda document: having(answers(document), "content"),
        lambda each: each.update(content={"application/x-other": next(iter(each["content"].values()))}),
    ),
    "a body's content type is another": (
        lambda document: having(operations(document), "requestBody"),
        lambda each: each["requestBody"].update(content={"application/x-other": {"schema": {}}}),
    ),
    "a field of an answer is gone": (_fields("answer"), _drop_field),
    "a field of a request is gone": (_fields("request"), _drop_field),
    "a required field of an answer may be left out": (
        lambda document: [node for node in objects(document, "answer") if node.get("required")],
        lambda node: node["required"].pop(),
    ),
    "an optional field of a request is required": (
        _optional_fields("request"),
        lambda place: place[0].update(required=[*place[0].get("required", []), place[1]]),
    ),
    "a required field is added to a request": (
        lambda document: objects(document, "request"),
        lambda node: (node["properties"].update(new={}), node.update(required=[*node.get("required", []), "new"])),
    ),
    "a field is of another type": (
        lambda document: [node for side in ("request", "answer") for node in schemas(document, side) if "type" in node],
        lambda node: node.update(type="boolean"),
    ),
    "a format is another": (
        lambda document: having(schemas(document, "request") + schemas(document, "answer"), "format"),
        lambda node: node.update(format="another"),
    ),
    "a pattern is another": (
        lambda document: having(schemas(document, "request") + schemas(document, "answer"), "pattern"),
        lambda node: node.update(pattern="^another$"),
    ),
    "a request's text must be shorter": (
        lambda document: having(schemas(document, "request"), "maxLength"),
        _raised("maxLength", -1),
    ),
    "an answer's text may be longer": (
        lambda document: having(schemas(document, "answer"), "maxLength"),
        _raised("maxLength", 1),
    ),
    "a request's text must be of few": (
        lambda document: [node for node in schemas(document, "request") if node.get("type") == "string"],
        lambda node: node.update(enum=["one"]),
    ),
    "a value is never answered or taken any more": (
        lambda document: having(schemas(document, "request") + schemas(document, "answer"), "enum"),
        lambda node: node["enum"].pop(),
    ),
    "a webhook's tag may be one more value": (
        lambda document: [
            each
            for each in document["components"]["schemas"].values()
            if _tag(each) and not any(each is sent for sent in schemas(document, "request"))
        ],
        lambda node: _tag(node).append("one more"),
    ),
    "a request may not be null any more": (
        lambda document: [node for node in schemas(document, "request") if {"type": "null"} in node.get("anyOf", [])],
        lambda node: node["anyOf"].remove({"type": "null"}),
    ),
    "an answer may be null": (
        lambda document: having(schemas(document, "answer"), "anyOf"),
        lambda node: node["anyOf"].append({"type": "array"}),
    ),
    "one way to show who you are is gone": (
        lambda document: [each for each in operations(document) if len(each["security"]) > 1],
        lambda each: each["security"].pop(),
    ),
    "a scope more is asked for": (
        lambda document: [each for each in operations(document) if each["security"]],
        lambda each: each["security"][0]["oauth2"].append("more:needed"),
    ),
    "a webhook is never sent any more": (
        lambda document: [document] if document.get("webhooks") else [],
        lambda document: document["webhooks"].popitem(),
    ),
    "keys are sent otherwise": (
        lambda document: [document["components"]["securitySchemes"]["apiKey"]],
        lambda scheme: scheme.update(name="X-Other"),
    ),
}

ADDITIVE = {
    "an operation is added": (
        lambda document: [document],
        lambda document: document["paths"].update({"/new": {"get": {"operationId": "new", "responses": {}}}}),
    ),
    "an optional parameter is added": (
        operations,
        lambda each: each["parameters"].append({"name": "new", "in": "query", "required": False, "schema": {}}),
    ),
    "a parameter may be left out": (
        lambda document: parameters(document, required=True),
        lambda place: place[1].update(required=False),
    ),
    "a parameter takes longer texts": (
        lambda document: having([each["schema"] for _, each in parameters(document)], "maxLength"),
        _raised("maxLength", 1),
    ),
    "an error is added": (
        operations,
        lambda each: each["responses"].update({"418": {"description": "A teapot"}}),
    ),
    "an error never happens any more": (operations, lambda each: each["responses"].pop("500", None)),
    "a header is added": (answers, lambda each: each["headers"].update({"X-New": {"schema": {"type": "string"}}})),
    "a content type is added": (
        lambda document: having(answers(document), "content"),
        lambda each: each["content"].update({"application/x-other": {}}),
    ),
    "an optional field is added": (
        lambda document: objects(document, "request") + objects(document, "answer"),
        lambda node: node["properties"].update(new={"type": "string"}),
    ),
    "another way to show who you are is added": (operations, lambda each: each["security"].append({"new": []})),
    "a scope less is asked for": (
        lambda document: [each for each in operations(document) if each["security"] and each["security"][0]["oauth2"]],
        lambda each: each["security"][0]["oauth2"].pop(),
    ),
    "an operation costs less": (operations, lambda each: each.update({"x-cost": each["x-cost"] - 1})),
}

SILENT = {
    "words": (
        lambda document: schemas(document, "request") + schemas(document, "answer"),
        lambda node: node.update(description="another", title="another", examples=["another"]),
    ),
    "tags and summaries": (operations, lambda each: each.update(tags=["Another"], summary="another")),
    "the order of what is required": (
        lambda document: having(objects(document, "answer"), "required"),
        lambda node: node["required"].reverse(),
    ),
}


def changed(data, catalogue, name):
    """A published document, and it again with one change somewhere."""
    places, change = catalogue[name]
    fitting = [each for each in NAMES if places(published(each))]
    assert fitting, f"nothing published has a place for this: {name}"
    document = published(data.draw(st.sampled_from(fitting)))
    other = copy.deepcopy(document)
    change(data.draw(st.sampled_from(places(other))))
    assume(other != document)
    return document, other


@pytest.mark.parametrize("name", NAMES)
def test_a_document_against_itself_has_no_changes(name):
    assert compare_documents(published(name), copy.deepcopy(published(name))) == []


@pytest.mark.parametrize("name", sorted(BREAKING))
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_what_breaks_a_consumer_is_found_wherever_it_is(name, data):
    before, after = changed(data, BREAKING, name)
    assert any(change.breaking for change in compare_documents(before, after))


@pytest.mark.parametrize("name", sorted(ADDITIVE))
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_what_is_added_is_told_and_breaks_nobody(name, data):
    found = compare_documents(*changed(data, ADDITIVE, name))
    assert found
    assert [change for change in found if change.breaking] == []


@pytest.mark.parametrize("name", sorted(SILENT))
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_what_no_program_reads_is_not_told(name, data):
    assert compare_documents(*changed(data, SILENT, name)) == []


def test_names_of_path_variables_are_nobodys_business():
    text = yaml.safe_dump(published("experience/storefront/v1.yaml"))
    renamed = yaml.safe_load(text.replace("{order_id}", "{order}").replace("name: order_id", "name: order"))
    assert renamed != published("experience/storefront/v1.yaml")
    assert compare_documents(published("experience/storefront/v1.yaml"), renamed) == []


def test_a_document_may_go_only_after_its_sunset():
    name = "experience/storefront/v1.yaml"
    sunset = datetime.fromisoformat(published(name)["info"]["x-lifecycle"]["sunset_at"])
    early = compare_publications({name: published(name)}, {}, now=datetime(2026, 11, 21, tzinfo=UTC))
    assert [change.rule for change in early[name]] == ["api.removed"]
    assert [change.rule for change in compare_publications({name: published(name)}, {}, now=sunset)[name]] == [
        "api.ended"
    ]
    added = compare_publications({}, {name: published(name)})
    assert [(change.breaking, change.rule) for change in added[name]] == [(False, "api.added")]


def test_the_next_major_version_is_seen_to_break():
    """What a team would have broken had it published v2 under the name of v1."""
    first, second = (published(f"experience/storefront/v{number}.yaml") for number in (1, 2))
    moved = yaml.safe_load(yaml.safe_dump(second).replace("/storefront/v2", "/storefront/v1"))
    rules = {change.rule for change in compare_documents(first, moved) if change.breaking}
    assert {"answer.type", "request.field_removed"} & rules


# --- schemas that refer to themselves, and soundness ------------------------------------------------------------------


def compare(before, after, side):
    return list(SchemaChanges(Document(before), Document(after)).compare(before, after, side, ""))


def test_a_schema_that_refers_to_itself_is_compared_once():
    def tree(limit):
        node = {"type": "object", "properties": {"of": {"$ref": "#/n"}, "name": {"type": "string", "maxLength": limit}}}
        return {"n": node, "$ref": "#/n"}

    assert [change.rule for change in compare(tree(5), tree(4), REQUEST)] == ["request.maxLength"]


TEXTS = st.fixed_dictionaries(
    {"type": st.just("string")},
    optional={
        "minLength": st.integers(0, 3),
        "maxLength": st.integers(1, 4),
        "enum": st.lists(st.sampled_from(["a", "bb", "ccc"]), min_size=1, max_size=3, unique=True),
        "pattern": st.sampled_from(["^a", "^b"]),
    },
)
NUMBERS = st.fixed_dictionaries(
    {"type": st.sampled_from(["integer", "number"])},
    optional={"minimum": st.integers(-2, 2), "maximum": st.integers(0, 4), "exclusiveMinimum": st.integers(-2, 2)},
)
SIMPLE = TEXTS | NUMBERS | st.just({"type": "null"}) | st.just({"type": "boolean"})


def lists_of(inner):
    return st.fixed_dictionaries(
        {"type": st.just("array"), "items": inner},
        optional={"maxItems": st.integers(0, 3), "minItems": st.integers(0, 2), "uniqueItems": st.booleans()},
    )


def objects_of(inner):
    fields = st.dictionaries(st.sampled_from(["x", "y"]), inner)
    return fields.flatmap(
        lambda named: st.fixed_dictionaries(
            {
                "type": st.just("object"),
                "properties": st.just(named),
                "required": st.lists(st.sampled_from(sorted(named)), unique=True) if named else st.just([]),
                "additionalProperties": st.just(False),
            }
        )
    )


SCHEMAS = st.recursive(
    SIMPLE,
    lambda inner: (
        lists_of(inner) | objects_of(inner) | st.lists(inner, min_size=1, max_size=2).map(lambda each: {"anyOf": each})
    ),
    max_leaves=4,
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 5) | st.just(0.5) | st.sampled_from(["", "a", "bb", "ccc", "abcde"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "y"]), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=250, deadline=None)
@given(before=SCHEMAS, after=SCHEMAS, value=VALUES)
def test_what_fitted_before_fits_still_when_nothing_of_a_request_breaks(before, after, value):
    if not any(change.breaking for change in compare(before, after, REQUEST)) and jsonschema_rs.is_valid(before, value):
        assert jsonschema_rs.is_valid(after, value)


@settings(max_examples=250, deadline=None)
@given(schema=SCHEMAS, value=VALUES, data=st.data())
def test_what_is_answered_now_fits_what_was_published_when_nothing_of_an_answer_breaks(schema, value, data):
    after = copy.deepcopy(schema)
    word = data.draw(st.sampled_from(["maxLength", "minLength", "maximum", "minimum", "enum", "pattern"]))
    told = {
        "maxLength": 2,
        "minLength": 1,
        "maximum": 1,
        "minimum": 0,
        "enum": ["a"],
        "pattern": "^a",
        "type": "string",
    }
    if data.draw(st.booleans()):
        after.pop(word, None)
    else:
        after[word] = told[word]
    if not any(change.breaking for change in compare(schema, after, ANSWER)) and jsonschema_rs.is_valid(after, value):
        assert jsonschema_rs.is_valid(schema, value)


@settings(max_examples=200, deadline=None)
@given(schema=SCHEMAS)
def test_a_schema_against_itself_has_no_changes(schema):
    for side in (REQUEST, ANSWER):
        assert compare(schema, copy.deepcopy(schema), side) == []
