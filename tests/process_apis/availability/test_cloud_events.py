"""CloudEvents in, over the route's own strict decoder."""

from __future__ import annotations

import json

import msgspec
import pytest

from gateway.edge.strict import json_decoder
from gateway.kernel.errors import Invalid, Rejected
from gateway.kernel.validation import DEFAULT_LIMITS
from process_apis.availability.cloud_events import StockEvents, report_of

decode = json_decoder(StockEvents)
MOVED = {
    "specversion": "1.0", "type": "crossdock.stock.movement_reported.v1", "source": "wms_n", "id": "e1",
    "time": "2026-11-01T00:00:05Z", "datacontenttype": "application/json",
    "data": {"movement": "stock_adjusted", "epoch": 1, "sequence": 5, "lines": [
        {"item": "X-A", "location": "N", "amount": "12.0", "uom": "EA"},
        {"line": 1, "item": "X-B", "location": "N", "amount": "1", "uom": "CS"}]},
}  # fmt: skip
COUNTED = {
    "specversion": "1.0", "type": "crossdock.stock.snapshot_reported.v1", "source": "wms_n", "id": "s1",
    "time": "2026-11-01T00:00:09Z",
    "data": {"epoch": 1, "sequence": 9, "full": True, "locations": ["N"], "figures": [
        {"item": "X-A", "location": "N", "amount": "7", "uom": "EA"}]},
}  # fmt: skip


def decoded(body):
    return decode(json.dumps(body).encode(), DEFAULT_LIMITS)


def test_an_event_becomes_a_line_of_the_report_for_each_of_its_lines():
    report = report_of([decoded(MOVED)], "cor")
    assert [(each.event_id, each.line, each.source_item, each.amount) for each in report.movements] == [
        ("e1", 0, "X-A", 12), ("e1", 1, "X-B", 1)
    ]  # fmt: skip
    assert {each.correlation_id for each in report.movements} == {"cor"}


def test_a_batch_may_hold_movements_and_snapshots():
    report = report_of(decoded([MOVED, COUNTED | {"correlationid": "c"}]), "cor")
    assert (len(report.movements), len(report.snapshots)) == (2, 1)
    assert report.snapshots[0].full


def test_events_may_be_parts_of_one_snapshot_and_bear_its_name():
    parts = [
        COUNTED | {"id": f"s1-{n}", "data": COUNTED["data"] | {"part": {"snapshot": "s1", "number": n, "of": 2}}}
        for n in (2, 1)
    ]
    report = report_of(decoded(parts), "cor")
    assert report.snapshots == ()
    assert [(each.snapshot.event_id, each.number, each.of) for each in report.parts] == [("s1", 2, 2), ("s1", 1, 2)]


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        (MOVED | {"specversion": "0.3"}, "/specversion"),
        (MOVED | {"type": "com.example.unknown"}, "/type"),
        (MOVED | {"time": "2026-11-01T00:00:05"}, "/time"),
        (MOVED | {"flavour": "x"}, ""),
        (MOVED | {"data": COUNTED["data"]}, "/data"),
        ([COUNTED, MOVED | {"id": ""}], "/1/id"),
    ],
    ids=["specversion", "type", "naive-time", "extension", "data-of-another-type", "second-of-a-batch"],
)
def test_what_is_no_event_of_ours_is_refused_where_it_is_wrong(wrong, pointer):
    with pytest.raises(Invalid) as refusal:
        decoded(wrong)
    assert refusal.value.problems[0].pointer.startswith(pointer)


def test_a_call_has_a_bounded_number_of_lines():
    event = decoded(MOVED)
    many = msgspec.structs.replace(event, data=msgspec.structs.replace(event.data, lines=event.data.lines * 250))
    with pytest.raises(Rejected, match="at most 5000"):
        report_of([many] * 11, "cor")
