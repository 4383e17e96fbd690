from __future__ import annotations

import io

import pytest

from gateway.kernel.errors import Rejected
from gateway.reference import importing
from gateway.reference.csv_rows import read_rows
from gateway.reference.importing import Order, import_rows

pytestmark = pytest.mark.integration
FILE = """location,name,kind,parent,time_zone,holder,code:wms_s
ber,Berlin,site,de,,wms_s,B1
de,Germany,zone,emea,Europe/Berlin,,
emea,Europe,region,,,,
ham,Hamburg,,de,,wms_s,B2
"""
WRONG = FILE + "muc,Munich,,de,,wms_x,B3\npar,Paris,,fr,,wms_s,\nber,again,,,,,\nlyo,,,,Mars/Base,,\nx y,,,,,,\n"


@pytest.fixture
def take(locations, reference_store, tenant):
    async def taken(text, **more):
        order = Order(tenant=tenant, domain="locations", source=more.pop("source", "steward"), actor="cli/kim",
                      correlation_id="c", **more)  # fmt: skip
        rows = read_rows(io.BytesIO(text.encode()), locations.layout)
        return await import_rows(reference_store, locations, rows, order)

    return taken


async def places(locations, tenant):
    return [each.location for each in await locations.page(tenant, after=None, limit=200)]


async def test_a_file_is_taken_whole_whatever_the_order_of_its_rows_and_again_changes_nothing(take, locations, tenant):
    first = await take(FILE)
    assert (first.created, first.refusals, first.applied) == (4, 0, True)
    ber = await locations.node(tenant, "ber")
    assert (ber.region, ber.time_zone, ber.above) == ("emea", "Europe/Berlin", ("de", "emea"))
    assert [each.location for each in await locations.by_code(tenant, "wms_s", "B2")] == ["ham"]
    again = await take(FILE)
    assert (again.created, again.changed, again.unchanged, again.applied) == (0, 0, 4, False)
    more = await take("location,priority\nham,3\n")
    assert (more.changed, (await locations.node(tenant, "ham")).name) == (1, "Hamburg")


async def test_one_refused_row_keeps_all_out_and_each_is_told_with_its_line(take, locations, tenant):
    report = await take(WRONG)
    assert not report.applied
    assert [(each.line, each.column, each.code) for each in report.refused] == [
        (6, "holder", "location.system_unknown"),
        (7, "parent", "location.parent_unknown"),
        (8, "location", "import.repeated"),
        (9, "time_zone", "location.time_zone"),
        (10, "location", "import.value"),
    ]
    assert await places(locations, tenant) == ["north"]


async def test_partial_takes_what_holds_and_a_dry_run_takes_nothing(take, locations, tenant, reference_store):
    looked = await take(WRONG, dry_run=True)
    assert (looked.created, looked.refusals, looked.applied) == (4, 5, False)
    assert await places(locations, tenant) == ["north"]
    report = await take(WRONG, partial=True)
    assert (report.created, report.refusals, report.applied) == (4, 5, True)
    assert await places(locations, tenant) == ["ber", "de", "emea", "ham", "north"]
    audited = "select detail::text from store.audit where tenant = $1 and action = 'reference.imported'"
    (row,) = await reference_store.fetch(audited, tenant)
    assert '"created": 4' in row["detail"]


async def test_a_file_too_long_to_be_taken_whole_says_what_to_do(take, monkeypatch):
    monkeypatch.setattr(importing, "MOST_AT_ONCE", 3)
    with pytest.raises(Rejected, match="partial") as refused:
        await take(FILE)
    assert refused.value.code == "import.too_long"


async def test_a_row_whose_parent_is_refused_goes_with_it(take):
    report = await take("location,kind,parent,holder\nde,zone,nowhere,\nber,site,de,\n", dry_run=True)
    assert [(each.line, each.code) for each in report.refused] == [
        (2, "location.parent_unknown"),
        (3, "location.parent_unknown"),
    ]
