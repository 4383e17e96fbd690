"""The order of the chain, what routes must say, and whether manifests tell the truth."""

import importlib

import msgspec
import pytest

from gateway.app import PRODUCTS, Core, Gateway, published_apis
from gateway.edge.chain import ORDER
from gateway.kernel.clock import SystemClock
from gateway.outbound.door import Outbound
from gateway.outbound.limits import SystemLimits
from gateway.settings import parse_settings
from gateway.systems.loader import check_capabilities
from gateway.systems.manifest import load_manifest


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """A gateway that is composed and never opened: no socket, no engine."""
    folder = tmp_path_factory.mktemp("composed")
    secret = folder / "secret"
    secret.write_text("redis://127.0.0.1:1/0?a-secret-that-is-long-enough-to-be-a-master-key", encoding="utf-8")
    reference = f'"file:{secret}"'
    text = f"""
tenant = "demo"
[store]
url = {reference}
installation = "none"
[backbone]
url = {reference}
[cache]
url = {reference}
[secrets.keys]
1 = {reference}
"""
    return Gateway(Core(parse_settings(text, name="test")))


def test_the_chain_has_this_order():
    assert list(ORDER) == [
        "canonical_request",
        "message_hygiene",
        "trace",
        "pre_authentication_limit",
        "version",
        "authenticate",
        "authorise",
        "rate_limit",
        "idempotency",
        "validate_request",
        "line_cost",
        "validate_response",
        "deprecation",
        "audit",
    ]


def test_the_gateway_leaves_no_policy_of_the_chain_out(gateway):
    assert [policy.name for policy in gateway._policies()] == list(ORDER)


def test_every_route_that_requires_a_key_registers_who_recalls_its_outcome(gateway):
    required = {route.id for route in gateway.routes.routes if route.idempotency == "required"}
    assert required
    assert set(gateway.core.recallers()) == required


def test_only_what_must_be_public_needs_no_credential(gateway):
    public = {route.template for route in gateway.routes.routes if route.zone is None}
    public = {template for template in public if not template.startswith("/apis/")}
    assert public == {
        "/livez",
        "/readyz",
        "/oauth2/token",
        "/oauth2/introspect",
        "/oauth2/revoke",
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-protected-resource",
        "/.well-known/jwks.json",
        "/.well-known/api-catalog",
        "/webhooks/v1/{instance}",
    }


def test_what_each_api_is_can_be_read_by_anybody_and_the_contract_of_what_faces_partners(gateway):
    public = {
        route.template for route in gateway.routes.routes if route.zone is None and route.id.startswith("GET /apis")
    }
    assert public == {f"/apis{api.anchor}" for api in gateway.apis} | {
        f"/apis{api.anchor}/openapi.yaml" for api in gateway.apis if api.facing == "partner"
    }


def test_every_route_behind_a_credential_asks_for_a_scope(gateway):
    assert [route.id for route in gateway.routes.routes if route.zone is not None and not route.scopes] == []


def test_every_api_stays_in_its_zone_and_below_its_path():
    for api in published_apis():
        for handler in api.handlers:
            assert handler.opt["zone"] == api.layer, handler
            prefix = f"/{api.name}/{api.version}/" if api.layer == "experience" else f"/{api.layer}/{api.name}/v1/"
            assert all(path.startswith(prefix) for path in handler.paths), handler.paths


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_manifest_declares_exactly_what_its_adapter_can_do(product, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("anything", encoding="utf-8")
    shape = importlib.import_module(f"system_apis.{product}.settings").Settings
    texts = {name: f"file:{secret}" for name in shape.__struct_fields__ if "secret" in name or "key" in name}
    needed = dict.fromkeys((f.name for f in fields_of(shape) if f.required), "x") | texts
    needed |= {"base_url": "http://127.0.0.1:1"} | {n: f"file:{secret}" for n in needed if n in ("password", "token")}
    settings = shape(**{name: value for name, value in needed.items() if is_text(shape, name)})
    session = Outbound().session(product, settings.base_url, SystemLimits())
    adapter = importlib.import_module(f"system_apis.{product}.adapter").Adapter(
        product, settings, session, SystemClock()
    )
    check_capabilities(load_manifest(product), adapter)
    assert load_manifest(product).name == product


def fields_of(shape):
    return msgspec.structs.fields(shape)


def is_text(shape, name):
    kind = next(field.type for field in fields_of(shape) if field.name == name)
    return kind is str or str in getattr(kind, "__args__", ())
