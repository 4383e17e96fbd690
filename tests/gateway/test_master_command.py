"""`crossdock master` on a real record."""

import asyncio
import json

import msgspec
import pytest

from gateway.cli import main
from system_apis.tryton import sandbox_data

pytestmark = pytest.mark.integration
_CUSTOMERS = "number,name,city\nC1,Corner,Oslo\nC2,Nook,Bergen\n"


@pytest.fixture
def systems():
    """The systems of the installation."""
    return {}


@pytest.fixture
async def run(systems, install, capsys):
    """Types a command on the record of an installation; answers its status, and what it told."""
    path = await install({"systems": systems})

    async def typed(*arguments):
        status = await asyncio.to_thread(main, [*arguments, "--settings", str(path)])
        told = capsys.readouterr()
        if "--json" in arguments and told.out:
            return status, json.loads(told.out)
        return status, told.out or told.err

    return typed


async def test_whose_word_counts_is_shown_and_changed_from_a_shell(run, tmp_path):
    for source, city in (("erp", "Oslo"), ("crm", "Tromsø")):
        file = tmp_path / f"{source}.csv"
        file.write_text(_CUSTOMERS.replace("Oslo", city), encoding="utf-8")
        assert (await run("import", "customers", str(file), "--source", source))[0] == 0

    async def city_of(name):
        _, shown = await run("master", "show", "customers", name, "--json")
        return next(each for each in shown["attributes"] if each["attribute"] == "city")

    assert (await city_of("C1"))["source"] == "erp"
    status, before = await run("master", "owners", "customers", "--json")
    assert (status, before["version"]) == (0, 1)
    status, told = await run(
        "master", "own", "customers", "city", "--publishes", "crm, steward,*", "--reason", "sales knows best"
    )
    assert (status, "crm, steward, *" in told, "sales knows best" in told) == (0, True, True)
    city = await city_of("C1")
    assert (city["source"], city["value"], city["others"][0]["value"]) == ("crm", "Tromsø", "Oslo")
    _, told = await run("master", "show", "customers", "C1")
    assert "erp: Oslo" in told


@pytest.mark.long
async def test_what_cannot_be_is_refused_with_what_to_do(run):
    refused = [
        ("show", "customers", "NOBODY"),
        ("own", "items", "colour", "--publishes", "pim", "--reason", "x"),
        ("own", "items", "name", "--reason", "x"),
        ("own", "items", "name", "--publishes", "pim", "--reason", "x", "--seen", "7"),
        ("own", "locations", "name", "--publishes", "pim,pim", "--reason", "x"),
        ("read", "customers", "--source", "erp_x"),
    ]
    told = [await run("master", *each) for each in refused]
    assert [status for status, _ in told] == [2] * 6
    said = [text for _, text in told]
    expected = ["no customer 'NOBODY'", "name one of", "--publishes", "version 7", "stands once", "erp_x"]
    assert [part in text for part, text in zip(expected, said, strict=True)] == [True] * 6
    assert (await run("master", "refused", "customers"))[0] == 0


class TestWithTryton:
    """The list of a real ERP, read from a shell."""

    @pytest.fixture
    def systems(self, tryton):
        return {"erp": {"product": "tryton", "settings": msgspec.to_builtins(tryton.settings())}}

    @pytest.mark.long
    async def test_its_customers_are_read_now_and_what_is_refused_is_told_until_it_is_mended(self, run, tmp_path):
        # A number that a file gave to a customer of another system is not taken to mean Tryton's.
        file = tmp_path / "customers.csv"
        file.write_text("number,name,code:erp_na\nCUST2,Somebody else,17\n", encoding="utf-8")
        assert (await run("import", "customers", str(file)))[0] == 0
        status, told = await run("master", "read", "customers", "--json")
        (made,) = told["readings"]
        assert (status, made["whole"], told["failed"]) == (1, True, {})
        assert ("CUST2", "customer.number_taken") in {(each["record"], each["code"]) for each in made["refused"]}
        _, shown = await run("master", "show", "customers", "CUST1", "--json")
        counts = {each["attribute"]: each["value"] for each in shown["attributes"]}
        assert (counts["payment_term"], counts["credit_limit"]) == ("Net 30", "1000000 USD")
        status, refused = await run("master", "refused", "customers", "--source", "erp")
        assert (status, "CUST2" in refused) == (1, True)
        status, told = await run("master", "read", "items", "--json")
        assert (status, told["readings"][0]["created"], told["failed"]) == (0, len(sandbox_data.SKUS), {})
        status, told = await run("master", "read", "customers")
        assert "erp: what changed" in told
