"""Settings that name an operation or an API which nothing serves: refused at start, with the nearest name."""

import subprocess
import sys

import pytest

from gateway.app import Core, Gateway
from gateway.configuration.tree import read_configuration
from gateway.engines.ports import free_port
from gateway.kernel.errors import Misconfigured, Rejected
from gateway.kernel.spelling import with_nearest
from gateway.settings import load_settings

TEXT = """
tenant = "acme"
store = { url = "env:A_URL", installation = "i" }
backbone = { url = "env:A_URL" }
cache = { url = "env:A_URL" }
secrets = { keys = { "1" = "env:A_KEY" } }
"""
ENVIRONMENT = {"A_URL": "redis://127.0.0.1:1/0?a", "A_KEY": "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3I="}
PLAN = '[rate_limit.plans.standard]\ndefault = { rate = "1/second" }\n'
MISTAKES = [
    pytest.param(
        '[validate_request.operations."POST /storefront/v2/order"]\nmode = "observe"\n',
        "validate_request.operations: 'POST /storefront/v2/order' (nearest: 'POST /storefront/v2/orders')",
        id="an operation whose requests are checked",
    ),
    pytest.param(
        '[validate_request.apis.storefornt]\nmode = "observe"\n',
        "validate_request.apis: 'storefornt' (nearest: 'storefront')",
        id="an API whose requests are checked",
    ),
    pytest.param(
        '[validate_response.operations."GET /storefront/v2/item"]\nmode = "enforce"\n',
        "validate_response.operations: 'GET /storefront/v2/item' (nearest: 'GET /storefront/v2/items')",
        id="an operation whose answers are checked",
    ),
    pytest.param(
        '[validate_response.apis."storefront/v9"]\nmode = "enforce"\n',
        "validate_response.apis: 'storefront/v9' (nearest: 'storefront/v",
        id="a version whose answers are checked",
    ),
    pytest.param(
        PLAN + '[rate_limit.plans.standard.operations]\n"POST /storefront/v2/ordres" = { rate = "1/hour" }\n',
        "rate_limit.plans.standard.operations: 'POST /storefront/v2/ordres' (nearest: 'POST /storefront/v2/orders')",
        id="an operation with a limit of its own",
    ),
]
KEPT_LONG = (
    '[idempotency.retention]\n"POST /storefront/v2/oders" = 60\n',
    "idempotency.retention: 'POST /storefront/v2/oders' (nearest: 'POST /storefront/v2/orders')",
)
DATED = (
    '[[lifecycles]]\napi = "storefront"\nversion = "v7"\n',
    "lifecycles: nothing serves 'storefront v7' (nearest: 'storefront v",
)


@pytest.fixture
def settings(tmp_path, monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)

    def write(more):
        path = tmp_path / "settings.toml"
        path.write_text(TEXT + more, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("text", "said"),
    [*MISTAKES, pytest.param(*KEPT_LONG, id="an operation's retention"), pytest.param(*DATED, id="a version's dates")],
)
def test_a_gateway_whose_settings_name_what_nothing_serves_does_not_start_and_says_what_comes_near(
    settings, text, said
):
    with pytest.raises(Misconfigured) as refused:
        Gateway(Core(load_settings(settings(text))))
    assert said in refused.value.detail


def test_a_configuration_that_names_what_nothing_serves_is_refused_with_what_comes_near(settings):
    gateway = Gateway(Core(load_settings(settings(""))))
    for text, said in (mistake.values for mistake in MISTAKES):
        with pytest.raises(Rejected) as refused:
            gateway.check_configuration(read_configuration(text, name="new.toml"))
        assert refused.value.code == "configuration.unknown_name"
        assert said in refused.value.detail


def test_all_mistakes_are_told_at_once(settings):
    both = MISTAKES[0].values[0] + MISTAKES[1].values[0] + KEPT_LONG[0]
    with pytest.raises(Misconfigured) as refused:
        Gateway(Core(load_settings(settings(both))))
    for said in (MISTAKES[0].values[1], MISTAKES[1].values[1], KEPT_LONG[1]):
        assert said in refused.value.detail


def test_what_is_near_to_nothing_is_told_with_an_example():
    assert with_nearest("zzz", ["GET /b", "GET /a"]) == "'zzz' (they are written like 'GET /a')"
    assert with_nearest("zzz", []) == "'zzz' (there are none)"


@pytest.mark.integration
def test_the_real_server_ends_with_one_clear_line_and_no_traceback(settings):
    path = settings(f"[http]\nport = {free_port(set())}\n" + MISTAKES[0].values[0])
    ended = subprocess.run(
        [sys.executable, "-m", "gateway.asgi", "gateway", "--settings", str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode != 0
    assert f"crossdock: the settings name what nothing here serves: {MISTAKES[0].values[1]}" in ended.stderr
    assert "Traceback" not in ended.stderr
