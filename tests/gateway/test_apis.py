"""The files that say who answers for an API and how long it lives."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.apis import component_api, dated, read_api_file, with_dates
from gateway.app import MESSAGE_VERSIONS, published_apis
from gateway.kernel.errors import Misconfigured
from gateway.kernel.lifecycle import Lifecycle

ROOT = Path(__file__).parents[2]
HEAD = """
name = "shop"
class = "partner"
title = "Shop"
business_owner = "Commerce"
technical_owner = "Integration"
slo = { availability_percent = 99.9, latency_p99_ms = 300 }
"""
DATED = """
[versions.v1]
since = 2026-01-01
deprecated_at = 2026-06-01T00:00:00Z
sunset_at = 2027-06-01T00:00:00Z
successor = "v2"
brownouts = [{ begins = 2027-05-01T08:00:00Z, ends = 2027-05-01T09:00:00Z }]
[versions.v2]
since = 2026-06-01
"""


def written(folder, text):
    path = folder / "lifecycle.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_component_that_serves_an_api_has_a_file_and_every_file_an_api():
    files = {path.parent for top in ("experience_apis", "process_apis", "system_apis") for path in component_files(top)}
    served = {(api.name, api.version) for api in published_apis()}
    assert {read_api_file(folder / "lifecycle.toml").name for folder in files} == {name for name, _ in served}
    for folder in files:
        described = read_api_file(folder / "lifecycle.toml")
        assert {(described.name, version) for version in described.versions} <= served
        assert described.name == folder.name.replace("_", "-")


def component_files(top):
    folders = [path for path in (ROOT / top).iterdir() if (path / "__init__.py").exists()]
    assert folders
    return [folder / "lifecycle.toml" for folder in folders]


def test_a_version_finds_its_successor_and_where_to_read_about_its_end(tmp_path):
    found = read_api_file(written(tmp_path, HEAD + DATED)).lifecycle("v1")
    assert (found.successor, found.documentation) == ("/shop/v2", "/apis/shop/v1")
    assert found.sunset_at == datetime(2027, 6, 1, tzinfo=UTC)
    assert len(found.brownouts) == 1


@pytest.mark.parametrize(
    ("find", "instead", "told"),
    [
        ('business_owner = "Commerce"\n', "", "business_owner"),
        ('technical_owner = "Integration"', 'technical_owner = ""', "technical_owner"),
        ('class = "partner"', 'class = "nobody"', "class"),
        ("latency_p99_ms = 300", "latency_p99_ms = 300, other = 1", "other"),
        ("2027-06-01T00:00:00Z", "2025-06-01T00:00:00Z", "sunset_at"),
        ("2027-06-01T00:00:00Z", "2027-06-01T00:00:00", "sunset_at"),
        ('successor = "v2"', 'successor = "v7"', "successor"),
        ('successor = "v2"', 'documentation = "/a\\nSet-Cookie: b"', "documentation"),
        ('successor = "v2"', 'documentation = "/a> b"', "documentation"),
        ("2027-05-01T09:00:00Z", "2027-05-01T07:00:00Z", "brownouts"),
        ("2027-05-01T09:00:00Z", "2027-05-09T07:00:00Z", "brownouts"),
        ("2027-05-01T08:00:00Z", "2026-05-01T08:00:00Z", "brownouts"),
        ("[versions.v2]", "[versions.2]", "versions"),
        ("since = 2026-06-01", "", "since"),
        ("[versions.v1]", "[versions.v1", "line"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_the_file_and_the_field(tmp_path, find, instead, told):
    text = HEAD + DATED
    assert find in text
    path = written(tmp_path, text.replace(find, instead, 1))
    with pytest.raises(Misconfigured) as refused:
        read_api_file(path)
    assert str(path) in refused.value.detail
    assert told in refused.value.detail


def test_a_missing_file_and_a_version_that_is_not_described_are_refused(tmp_path):
    with pytest.raises(Misconfigured, match=r"lifecycle\.toml"):
        read_api_file(tmp_path / "lifecycle.toml")
    with pytest.raises(Misconfigured, match="served are"):
        component_api("process_apis/items", {"v9": ()})


def test_whoever_has_webhooks_may_choose_any_version_of_the_storefront_that_publishes_them():
    found = [api for api in published_apis() if api.webhooks]
    assert tuple(api.version for api in found if api.name == "storefront") == MESSAGE_VERSIONS
    # Nothing is to be chosen elsewhere, as long as each has one version that tells.
    assert [(api.name, api.version) for api in found if api.name != "storefront"] == [("supplier", "v1")]


def test_an_installation_sets_dates_of_its_own_for_what_is_served_and_for_nothing_else():
    apis = published_apis()
    ours = Lifecycle(api="items", version="v1", deprecated_at=datetime(2027, 1, 1, tzinfo=UTC))
    changed = with_dates(apis, [ours])
    assert ours in dated(changed)
    assert len(dated(changed)) == len(dated(apis)) + 1
    with pytest.raises(Misconfigured, match="crossdock apis"):
        with_dates(apis, [Lifecycle(api="items", version="v9")])
