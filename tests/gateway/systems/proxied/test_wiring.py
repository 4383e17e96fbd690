"""From a settings file to routes of a real gateway: the composition root, opened by nobody."""

import json

import pytest
from proxied_upstreams import DOCUMENT

from gateway.app import Core, Gateway
from gateway.kernel.errors import Misconfigured
from gateway.settings import load_settings

TEXT = """
tenant = "acme"
store = { url = "env:A_URL", installation = "i" }
backbone = { url = "env:A_URL" }
cache = { url = "env:A_URL" }
secrets = { keys = { "1" = "env:A_KEY" } }

[proxied.legacy]
base_url = "https://items.example/base"
openapi = "legacy.json"
business_owner = "Sales"
technical_owner = "the items team"
streaming = ["ticks"]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("A_URL", "redis://127.0.0.1:1/0?a")
    monkeypatch.setenv("A_KEY", "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3I=")
    (tmp_path / "legacy.json").write_text(json.dumps(DOCUMENT), encoding="utf-8")
    (tmp_path / "settings.toml").write_text(TEXT, encoding="utf-8")
    return tmp_path


def test_settings_alone_make_operations_with_scopes_and_a_place_in_the_catalogue(folder):
    gateway = Gateway(Core(load_settings(folder / "settings.toml")))
    route, params, _ = gateway.routes.locate("GET", "/system/legacy/v1/items/A-1")
    assert (route.id, dict(params), route.scopes) == (
        "GET /system/legacy/v1/items/{sku}",
        {"sku": "A-1"},
        {"system:read"},
    )
    assert gateway.routes.locate("GET", "/system/legacy/v1/ticks")[0].streaming
    described = gateway.routes.locate("GET", "/apis/system/legacy/v1")[0]
    assert described.matched


def test_a_name_that_cannot_be_a_path_does_not_start(folder):
    path = folder / "settings.toml"
    path.write_text(TEXT.replace("proxied.legacy", 'proxied."A/b"'), encoding="utf-8")
    with pytest.raises(Misconfigured, match="lower case"):
        load_settings(path)
