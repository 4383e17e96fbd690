"""Counting and logging behind a request: cheap, bounded, and without its content."""

import json

import msgspec

from gateway.kernel.clock import SystemClock
from gateway.kernel.exchange import Exchange, Reply, Route
from gateway.telemetry.access import AccessLog
from gateway.telemetry.counters import CountedElsewhere, Counters, Family
from gateway.telemetry.gathered import Gathered


def shown(counters):
    """What a scrape of one process tells."""
    gathered = Gathered()
    gathered.tell("1", counters.families())
    return gathered.exposition()


def exchange(status):
    request = Exchange({"type": "http", "method": "GET", "path": "/x"}, None, 0.0)
    request.headers = {b"authorization": b"Bearer secret"}
    request.route = Route(id="GET /x", method="GET", template="/x", api="a", version="v1", zone=None)
    request.reply = Reply(status, [], b"secret")
    return request


def test_requests_are_counted_by_operation_status_and_bound():
    counters = Counters()
    log = AccessLog(counters, SystemClock())
    for seconds in (0.001, 0.02, 60.0):
        log(exchange(200), seconds)
    log(exchange(404), 0.001)
    text = shown(counters)
    assert 'crossdock_http_requests_total{route="GET /x",status="200"} 3' in text
    assert 'crossdock_http_requests_total{route="GET /x",status="404"} 1' in text
    assert 'within_total{le="0.005",route="GET /x",status="200"} 1' in text
    assert 'within_total{le="0.025",route="GET /x",status="200"} 2' in text
    assert 'within_total{le="+Inf",route="GET /x",status="200"} 3' in text


async def test_lines_are_written_behind_and_hold_no_content():
    written = []
    log = AccessLog(Counters(), SystemClock(), written.append)
    async with log.writing():
        log(exchange(200), 0.0123)
    (line,) = "".join(written).splitlines()
    assert json.loads(line)["seconds"] == 0.0123
    assert json.loads(line)["route"] == "GET /x"
    assert "secret" not in line


def test_a_counter_stays_bounded_and_escapes_its_labels():
    counters = Counters()
    counter = counters.counter("c_total", "C.", ["word"])
    for number in range(20_000):
        counter.add(str(number))
    counters.counter("d_total", "D.", ["word"]).add('a"b\n')
    assert len(list(counter.series())) == 10_000
    assert 'd_total{word="a\\"b\\n"} 1' in shown(counters)


def test_what_is_so_or_not_so_is_told_as_one_or_zero():
    counters = Counters()
    counters.show(CountedElsewhere("e", "E.", lambda: [({"state": "open"}, True), ({"state": "closed"}, False)]))
    told = msgspec.json.decode(msgspec.json.encode(counters.families()), type=list[Family])
    assert told[0].series == [(("open",), 1.0), (("closed",), 0.0)]
