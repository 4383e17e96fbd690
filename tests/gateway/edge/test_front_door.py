"""The front door as its callers see it: one shape of answers, whatever happens behind it."""

import asyncio
import gc
import logging

import pytest

from gateway.edge.front_door import let_go
from gateway.kernel.errors import CrossdockError, Rejected
from gateway.kernel.exchange import Exchange, Reply


async def test_a_handlers_answer_leaves_with_the_headers_of_the_policies(door):
    answer = await door.send("GET", "/shop/v1/orders/o1")
    assert answer.status == 200
    assert answer.json == {"id": "o1", "tenant": "acme"}
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.headers["ratelimit"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


async def test_an_unknown_path_below_an_api_needs_a_credential_and_is_limited_before_it_is_404(door):
    assert (await door.send("GET", "/shop/v1/nope", credential=None)).code == "credential.missing"
    assert door.limit.seen == []
    answer = await door.send("GET", "/shop/v1/nope")
    assert (answer.status, answer.code) == (404, "route.not_found")
    assert len(door.limit.seen) == 1
    door.limit.left = 0
    answer = await door.send("GET", "/shop/v1/nope")
    assert (answer.status, answer.headers["retry-after"]) == (429, "7")


async def test_an_unknown_path_outside_every_api_is_404_and_limited(door):
    answer = await door.send("GET", "/wp-admin.php", credential=None)
    assert (answer.status, answer.code) == (404, "route.not_found")
    assert len(door.limit.seen) == 1


async def test_405_is_authenticated_limited_and_lists_every_method_of_the_path(door):
    assert (await door.send("PATCH", "/shop/v1/orders", credential=None)).status == 401
    answer = await door.send("PATCH", "/shop/v1/orders")
    assert (answer.status, answer.code) == (405, "request.method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert len(door.limit.seen) == 1


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
async def test_trace_and_connect_are_405_at_once(door, method):
    answer = await door.send(method, "/shop/v1/orders")
    assert (answer.status, answer.code) == (405, "request.method_not_allowed")
    assert "allow" in answer.headers
    assert door.limit.seen == []


async def test_options_lists_every_method_and_head_is_get_without_a_body(door):
    options = await door.send("OPTIONS", "/shop/v1/orders/o1")
    assert (options.status, options.headers["allow"], options.body) == (204, "DELETE, GET, HEAD, OPTIONS", b"")
    get = await door.send("GET", "/shop/v1/orders/o1")
    head = await door.send("HEAD", "/shop/v1/orders/o1")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.parametrize(
    "path", ["/shop/v1/orders/", "//shop//v1/orders", "/shop/./v1/x/%2e%2e/orders", "/%73hop/v1/orders"]
)
async def test_spellings_of_one_path_are_one_operation(door, path):
    assert (await door.send("GET", path)).status == 200
    assert door.limit.seen == ["GET /shop/v1/orders"]


@pytest.mark.parametrize(
    ("method", "path", "more", "status"),
    [
        ("GET", "/shop/v1/orders/o1", {"credential": None}, 401),
        ("GET", "/shop/v1/orders/missing", {}, 404),
        ("GET", "/wp-admin.php", {"credential": None}, 404),
        ("PATCH", "/shop/v1/orders", {}, 405),
    ],
)
async def test_a_refused_request_is_gone_without_the_garbage_collector(door, method, path, more, status):
    """Processes of the gateway collect seldom (`calm_collector`): hostile traffic must not pile up."""
    gc.collect()
    others = [each for each in gc.get_objects() if type(each) is Exchange]  # of tests before this one
    gc.disable()
    try:
        assert (await door.send(method, path, **more)).status == status
        assert [each for each in gc.get_objects() if type(each) is Exchange] == others
    finally:
        gc.enable()


def test_an_error_that_is_its_own_cause_is_let_go_of_too():
    error, cause = Rejected("no"), ValueError("why")
    for each in (error, cause):
        with pytest.raises(type(each)):
            raise each
    error.__cause__ = cause.__cause__ = cause
    assert cause.__traceback__ is not None
    let_go(error)
    assert (error.__traceback__, cause.__traceback__) == (None, None)


async def test_what_a_handler_raises_is_told_as_a_problem(door):
    missing = await door.send("GET", "/shop/v1/orders/missing")
    assert (missing.status, missing.code) == (404, "order.not_found")
    assert missing.json["type"] == "/problems/order.not_found"
    assert missing.json["instance"] == "/shop/v1/orders/missing"
    assert "list them" in missing.json["detail"]
    conflict = await door.send("GET", "/shop/v1/orders/conflict")
    assert (conflict.status, conflict.headers["retry-after"]) == (409, "3")


async def test_a_bug_is_500_and_says_nothing_about_itself(door, caplog):
    with caplog.at_level(logging.ERROR):
        answer = await door.send("GET", "/shop/v1/orders/bug")
    assert (answer.status, answer.code) == (500, "internal")
    assert b"hunter2" not in answer.body
    assert b"ValueError" not in answer.body
    assert answer.json["request_id"] in caplog.text


async def test_a_text_handlers_error_is_still_a_problem(door):
    answer = await door.send("GET", "/shop/v1/header")
    assert answer.status == 500
    assert answer.code == "internal"


@pytest.mark.parametrize("value", ["a%0d%0aset-cookie:x", "a%0ab", "a%00b"])
async def test_a_header_that_would_split_the_response_never_leaves(make_door, value):
    door = make_door({"validate_request": Nothing("validate_request")})
    answer = await door.send("GET", f"/shop/v1/header?value={value}")
    assert answer.status == 500
    assert not any(b"set-cookie" in name + field for name, field in answer.fields)
    assert "x-echo" not in answer.headers


class Nothing:
    def __init__(self, name):
        self.name = name

    def admit(self, exchange):
        return None

    def conclude(self, exchange):
        return None


class Refuses(Nothing):
    def __init__(self, name, error):
        self.name = name
        self.error = error

    def admit(self, exchange):
        raise self.error


async def test_policies_that_were_not_entered_conclude_nothing(make_door):
    concluded = []

    class Watch(Nothing):
        def conclude(self, exchange):
            concluded.append(self.name)

    door = make_door({"authenticate": Refuses("authenticate", Rejected("no", code="request.no"))})
    door = make_door(
        {
            "trace": Watch("trace"),
            "authorise": Refuses("authorise", Rejected("no", code="request.no")),
            "idempotency": Watch("idempotency"),
            "audit": Watch("audit"),
        }
    )
    answer = await door.send("GET", "/shop/v1/orders/o1")
    assert answer.status == 400
    assert concluded == ["trace", "audit"]
    assert "ratelimit" not in answer.headers


async def test_a_policy_may_answer_and_the_handler_is_not_reached(make_door):
    class Replays(Nothing):
        def admit(self, exchange):
            exchange.reply = Reply(201, [(b"idempotent-replayed", b"true")], b"{}")

    door = make_door({"idempotency": Replays("idempotency")})
    answer = await door.send("GET", "/shop/v1/orders/bug")
    assert (answer.status, answer.headers["idempotent-replayed"], answer.body) == (201, "true", b"{}")


async def test_a_policy_that_fails_on_the_way_out_does_not_take_the_answer_with_it(make_door, caplog):
    class Breaks(Nothing):
        def conclude(self, exchange):
            raise ValueError("broken")

    door = make_door({"audit": Breaks("audit")})
    assert (await door.send("GET", "/shop/v1/orders/o1")).status == 200
    assert "failed on the way out" in caplog.text


async def test_withholding_works_for_reads_and_never_for_changes(make_door, order):
    class Withholds(Nothing):
        def conclude(self, exchange):
            raise CrossdockError("wrong", code="response.invalid")

    door = make_door({"validate_response": Withholds("validate_response")})
    assert (await door.send("GET", "/shop/v1/orders/o1")).status == 500
    assert (await door.send("POST", "/shop/v1/orders", json_body=order)).status == 201


async def test_an_awaiting_policy_is_awaited_in_its_place(make_door):
    order = []

    class Waits(Nothing):
        def admit(self, exchange):
            return self.later()

        async def later(self):
            await asyncio.sleep(0)
            order.append(self.name)

    class Notes(Nothing):
        def admit(self, exchange):
            order.append(self.name)

    door = make_door({"authorise": Waits("authorise"), "idempotency": Notes("idempotency")})
    assert (await door.send("GET", "/shop/v1/orders/o1")).status == 200
    assert order == ["authorise", "idempotency"]


async def test_a_change_keeps_each_policys_decision(make_door, order):
    kept = []

    class Keep(Nothing):
        def conclude(self, exchange):
            kept.extend((made.policy, made.outcome, made.detail) for made in exchange.decisions or ())

    door = make_door({"audit": Keep("audit")})
    await door.send("POST", "/shop/v1/orders", json_body=order)
    assert ("authenticate", "passed", "") in kept
    kept.clear()
    await door.send("POST", "/shop/v1/orders", json_body={})
    assert kept[-1] == ("validate_request", "refused", "request.body_invalid")


async def test_a_refusal_before_the_trace_still_has_a_request_id(door):
    answer = await door.send("GET", "/shop/v1/%2f")
    assert (answer.status, answer.code) == (400, "request.path")
    assert answer.json["request_id"].startswith("req_")


async def test_a_stream_passes_through_with_the_policies_headers(door):
    answer = await door.send("GET", "/shop/v1/ticks")
    assert (answer.status, answer.body) == (200, b"data: 1\n\ndata: 2\n\n")
    assert answer.headers["ratelimit"]
    assert "content-length" not in answer.headers
    assert (await door.send("HEAD", "/shop/v1/ticks")).body == b""


async def test_a_stream_that_breaks_off_sends_no_second_answer(door, caplog):
    answer = await door.send("GET", "/shop/v1/ticks?fail=1")
    assert answer.status == 200
    assert answer.body == b"data: 1\n\n"
    assert "broke off" in caplog.text


async def test_a_call_past_its_deadline_ends_and_says_whether_to_look_first(make_door):
    door = make_door(seconds=0.0)
    headers = [("content-type", "text/plain")]
    call = asyncio.create_task(door.send("PUT", "/shop/v1/slow", headers=headers, body=b"sleep"))
    async with asyncio.timeout(30):
        while not door.front._overdue.sweep():  # noqa: ASYNC110 - it is swept by hand
            await asyncio.sleep(0.01)
    answer = await call
    assert (answer.status, answer.code) == (504, "request.deadline")
    assert door.front.in_flight == 0


async def test_a_websocket_is_refused(door):
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    await door.front({"type": "websocket", "path": "/shop/v1/orders"}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": "no websockets here"}]


async def test_lifespan_passes_through(door):
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message["type"])

    await door.front({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_when_the_two_matchers_disagree_nothing_is_done(door):
    read = door.table.locate("GET", "/shop/v1/orders/o1")[0]

    class Lies(Nothing):
        def admit(self, exchange):
            exchange.route = read
            exchange.scope["path"] = "/shop/v1/orders"

    lying = type(door)({"authorise": Lies("authorise")})
    assert (await lying.send("GET", "/shop/v1/orders/o1")).status == 500


async def test_the_router_alone_serves_nothing(door, caplog):
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/public", "headers": [], "query_string": b""}
    with pytest.raises(KeyError):
        await door.app(scope, None, send)
    assert sent == []
