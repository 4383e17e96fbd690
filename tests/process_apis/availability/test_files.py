"""Files in a folder: whole or not at all, once, whoever dies in the middle."""

from __future__ import annotations

import hashlib
import json

import pytest

from gateway.kernel.errors import Unavailable
from process_apis.availability.files import FileDrop, FileDropOptions

pytestmark = pytest.mark.integration
COLUMNS = {"item": "Article", "amount": "Change", "sequence": "Number", "time": "Instant"}
CONSTANTS = {"movement": "stock_adjusted", "uom": "EA", "location": "N", "epoch": "1"}


def moved(number, amount, source="wms_n", **line):
    return {
        "specversion": "1.0", "type": "crossdock.stock.movement_reported.v1", "source": source, "id": f"e{number}",
        "time": "2026-11-01T00:00:05Z",
        "data": {"movement": "stock_adjusted", "epoch": 1, "sequence": number, "lines": [
            {"item": "X-A", "location": "N", "amount": str(amount), "uom": "EA", **line}]},
    }  # fmt: skip


def lines(*events):
    return "".join(json.dumps(event) + "\n" for event in events)


class DyingStock:
    """Records, and dies after the first batch."""

    def __init__(self, stock):
        self.stock, self.calls = stock, 0

    async def record(self, tenant, report):
        self.calls += 1
        if self.calls > 1:
            raise Unavailable("gone")
        return await self.stock.record(tenant, report)


@pytest.fixture
def drop(world, tmp_path):
    def made(stock=None, **more):
        options = FileDropOptions(folder=str(tmp_path), **more)
        return FileDrop(stock or world.availability, "acme", "wms_n", options)

    return made


def report_in(folder):
    [path] = folder.glob("*.report.json")
    return json.loads(path.read_text())


async def test_lines_are_recorded_once_and_the_file_is_put_away_with_its_report(world, drop, tmp_path):
    text = lines(moved(1, 5), moved(2, 7), moved(3, 1, item="X-NEW"))
    (tmp_path / "a.jsonl").write_text(text)
    (tmp_path / "b.jsonl.part").write_text("half of")
    assert await drop().read_once() == 1
    assert await world.positions() == {"sellable": 12}
    told = report_in(tmp_path / "done")
    assert told["recorded"] == 2
    assert [each["cause"] for each in told["others"]] == ["stock.item_unknown"]
    assert (tmp_path / "b.jsonl.part").exists()
    (tmp_path / "again.jsonl").write_text(text)
    await drop().read_once()
    assert await world.positions() == {"sellable": 12}


async def test_a_file_with_a_malformed_line_is_refused_whole(world, drop, tmp_path):
    (tmp_path / "a.jsonl").write_text(lines(moved(1, 5)) + "{\n" + lines(moved(2, 7, source="wms_s"), moved(3, "x")))
    (tmp_path / "b.csv").write_bytes(b"Article,Change,Number,Instant\nX-\xff,1,1,2026-11-01T00:00:05Z\n")
    assert await drop(columns=COLUMNS, constants=CONSTANTS).read_once() == 2
    assert await world.positions() == {}
    reports = sorted((tmp_path / "refused").glob("a.*.report.json"))
    assert [each["line"] for each in json.loads(reports[0].read_text())["refused"]] == [2, 3, 4]
    assert len(list((tmp_path / "refused").glob("b.csv.*.report.json"))) == 1
    assert not list(tmp_path.glob("*.jsonl"))


async def test_rows_become_movements_by_columns_and_constants(world, drop, tmp_path):
    rows = "Article,Change,Number,Instant\nX-A,5,1,2026-11-01T00:00:05Z\nX-A,-2,2,2026-11-01T00:00:06Z\n"
    (tmp_path / "a.csv").write_text(rows)
    await drop(columns=COLUMNS, constants=CONSTANTS).read_once()
    assert await world.positions() == {"sellable": 3}
    (tmp_path / "renamed.csv").write_text(rows)
    await drop(columns=COLUMNS, constants=CONSTANTS).read_once()
    assert await world.positions() == {"sellable": 3}


async def test_whoever_dies_in_the_middle_leaves_the_file_to_the_next(world, drop, tmp_path):
    (tmp_path / "a.jsonl").write_text(lines(*(moved(number, 1) for number in range(700))))
    with pytest.raises(Unavailable):
        await drop(DyingStock(world.availability)).read_once()
    assert await world.positions() == {"sellable": 500}
    assert (tmp_path / "a.jsonl").exists()
    assert await drop().read_once() == 1
    assert await world.positions() == {"sellable": 700}
    assert report_in(tmp_path / "done")["recorded"] == 200


async def test_a_checksum_is_waited_for_and_must_hold(world, drop, tmp_path):
    text = lines(moved(1, 5))
    (tmp_path / "a.jsonl").write_text(text)
    assert await drop(checksum=True).read_once() == 0
    (tmp_path / "a.jsonl.sha256").write_text("0" * 64)
    assert await drop(checksum=True).read_once() == 1
    assert "SHA-256" in report_in(tmp_path / "refused")["refused"][0]["detail"]
    (tmp_path / "a.jsonl").write_text(text)
    (tmp_path / "a.jsonl.sha256").write_text(f"{hashlib.sha256(text.encode()).hexdigest()}  a.jsonl")
    assert await drop(checksum=True).read_once() == 1
    assert await world.positions() == {"sellable": 5}
