"""What the command tells about the APIs that are served."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from gateway.app import published_apis
from gateway.cli import main
from gateway.governance import state
from gateway.kernel.lifecycle import Brownout, Lifecycle

NOW = datetime(2026, 11, 21, tzinfo=UTC)
DAY = timedelta(days=1)


def test_every_api_is_listed_with_its_owners_and_dates(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CROSSDOCK_SETTINGS", raising=False)
    assert main(["apis"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert main(["apis", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert len(table) == len(listed) + 1
    assert {each["anchor"] for each in listed} == {api.anchor for api in published_apis()}
    for each in listed:
        assert each["business_owner"]
        assert each["technical_owner"]
        assert each["class"] in ("partner", "internal", "system")
        assert set(each["slo"]) == {"availability_percent", "latency_p99_ms"}


@pytest.mark.parametrize(
    ("dates", "told"),
    [
        ({}, "active"),
        ({"deprecated_at": NOW + DAY}, "active"),
        ({"deprecated_at": NOW}, "deprecated"),
        ({"deprecated_at": NOW - DAY, "brownouts": (Brownout(NOW, NOW + DAY),)}, "brownout"),
        ({"deprecated_at": NOW - DAY, "sunset_at": NOW}, "ended"),
    ],
)
def test_the_state_of_a_version_follows_from_its_dates(dates, told):
    api = published_apis()[0]
    lifecycle = Lifecycle(api=api.name, version=api.version, **dates)
    assert state(replace(api, lifecycle=lifecycle), NOW) == told
