"""`crossdock partner add` and `crossdock client scopes` on a real record: shops, suppliers, and what is refused."""

import asyncio
import json

import pytest

from gateway.cli import main

pytestmark = pytest.mark.integration
SUPPLIES = ("purchase-orders:read", "purchase-orders:write")
ADD = ("partner", "add", "X", "--channel", "web")


@pytest.fixture
async def crossdock(install, tmp_path, capsys):
    document = tmp_path / "parts.json"
    operation = {"operationId": "listParts", "responses": {"200": {"description": "They."}}}
    document.write_text(
        json.dumps(
            {"openapi": "3.1.0", "info": {"title": "P", "version": "1"}, "paths": {"/parts": {"get": operation}}}
        )
    )
    wrapped = {
        "base_url": "https://parts.example", "openapi": str(document), "zone": "experience", "read_scope": "parts:read",
        "business_owner": "purchasing", "technical_owner": "purchasing",
    }  # fmt: skip
    path = await install({"sources": {"erp": {}}, "proxied": {"parts": wrapped}, "channels": [{"name": "web"}]})

    async def run(*arguments):
        status = await asyncio.to_thread(main, [*arguments, "--settings", str(path), "--json"])
        told = capsys.readouterr()
        return status, json.loads(told.out) if told.out else told.err

    return run


def _scopes(*scopes):
    return [word for scope in scopes for word in ("--scope", scope)]


async def test_a_shop_a_supplier_and_what_they_may_do(crossdock):
    status, shop = await crossdock("partner", "add", "Corner Shop", "--channel", "web", "--account", "C-1")
    assert status == 0
    _, shown = await crossdock("partner", "show", shop["partner_id"])
    assert (shown["accounts"], "orders:write" in shown["clients"][0]["scopes"]) == (["C-1"], True)
    status, supplier = await crossdock("partner", "add", "Tap Works", "--channel", "web", *_scopes(*SUPPLIES))
    assert status == 0
    _, shown = await crossdock("partner", "show", supplier["partner_id"])
    assert (shown["accounts"], sorted(shown["clients"][0]["scopes"])) == ([], sorted(SUPPLIES))
    wanted = ["parts:read", "purchase-orders:read"]  # of an API that the settings wrap, and of our own
    status, told = await crossdock("client", "scopes", supplier["client_id"], *_scopes(*wanted))
    assert (status, told["scopes"]) == (0, wanted)
    _, shown = await crossdock("partner", "show", supplier["partner_id"])
    assert sorted(shown["clients"][0]["scopes"]) == wanted


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (ADD, "give the customer codes that it orders for: --account"),
        ((*ADD, *_scopes("orders:write")), "give the customer codes"),
        ((*ADD, *_scopes("purchase-order:read")), "nearest: 'purchase-orders:read'"),
        ((*ADD, *_scopes("partners:administer")), "no API here asks for the scope"),
        (("client", "scopes", "cli_1", *_scopes("order:read")), "nearest: 'orders:read'"),
        (("client", "scopes", "cli_1", *_scopes("orders:read")), "cli_1"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_what_would(crossdock, arguments, said):
    status, told = await crossdock(*arguments)
    assert (status, said in told) == (2, True), told
