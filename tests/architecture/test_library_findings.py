"""What is known to bite in the libraries beneath, held for every route there is (`docs/hostile-traffic.md`)."""

import ast
from pathlib import Path

import pytest
from litestar.params import KwargDefinition

from gateway.app import published_apis
from gateway.contracts.reading import read_document
from gateway.edge.litestar_app import make_litestar

ROOT = Path(__file__).parents[2]
TOPS = ("gateway", "experience_apis", "process_apis", "system_apis")
VERBS = {"get", "post", "put", "patch", "delete", "head", "route"}
GIVEN_BY_THE_ROUTER = {"request", "caller", "socket", "state", "scope"}
DOCUMENTS = sorted((ROOT / "openapi").rglob("v*.yaml"))


def route_modules():
    """Every module of ours with a function that Litestar's decorators make a route of."""
    found = []
    for path in (path for top in TOPS for path in (ROOT / top).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        taken = {
            name.asname or name.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "litestar"
            for name in node.names
            if name.name in VERBS
        }
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef)]
        decorators = [each for function in functions for each in function.decorator_list]
        if any(isinstance(each, ast.Call) and getattr(each.func, "id", "") in taken for each in decorators):
            found.append(pytest.param(tree, id=str(path.relative_to(ROOT))))
    return found


def test_there_are_modules_with_routes():
    assert len(route_modules()) > 8


@pytest.mark.parametrize("tree", route_modules())
def test_a_routes_signature_can_be_read_when_it_is_made(tree):
    """Postponed annotations, and names that only a type checker imports, raise NameError at the first request."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not any(node.module == "__future__" for node in imports)
    assert not any(isinstance(node, ast.Name) and node.id == "TYPE_CHECKING" for node in ast.walk(tree))


def test_every_parameter_says_where_it_comes_from():
    """What Litestar would infer (``data: X``, a bare path or query parameter) is deprecated there."""
    inferred = []
    for api in published_apis():
        for handler in api.handlers:
            for name, field in handler.parsed_fn_signature.parameters.items():
                said = isinstance(field.kwarg_definition, KwargDefinition) or field.metadata
                if name not in GIVEN_BY_THE_ROUTER and not said:
                    inferred.append(f"{handler.handler_name}: {name}")
    assert not inferred


def test_the_router_trusts_no_header_and_bears_nothing_of_its_own():
    """No middleware, so no limiter or redirect by a forwarded address or host; no documents and no pages."""
    router, _ = make_litestar([handler for api in published_apis() for handler in api.handlers])
    for part in ("middleware", "allowed_hosts", "before_send", "after_exception"):
        assert not getattr(router, part), part
    for part in ("cors_config", "csrf_config", "compression_config", "openapi_config"):
        assert getattr(router, part) is None, part
    assert not [route.path for route in router.routes if route.path.startswith("/schema")]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_operation_documents_what_the_door_answers(path):
    document = read_document(path.name, path.read_bytes())
    assert {"contact", "license"} <= document["info"].keys()
    assert document["servers"]
    for operations in document["paths"].values():
        for operation in operations.values():
            told = operation["responses"].keys()
            assert {"400", "429", "500", "503"} <= told, operation["operationId"]
            assert operation["tags"]
            if operation.get("security") != []:
                assert {"401", "403"} <= told, operation["operationId"]
            if "requestBody" in operation:
                assert {"413", "415", "422"} <= told, operation["operationId"]
