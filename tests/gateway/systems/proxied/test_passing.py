"""What goes up, what comes back, and what stops at the door."""

import asyncio

import pytest
from proxied_upstreams import GOOD, answer

from gateway.kernel.exchange import OUTBOUND_KEY

pytestmark = pytest.mark.integration
ROOT = "/system/legacy/v1"


def fields_of(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:-2]
    return dict(line.split(": ", 1) for line in lines)


async def test_a_get_and_a_post_go_through_and_come_back(site, server):
    got = await site.send("GET", f"{ROOT}/items/A-1")
    assert (got.status, got.body) == (200, GOOD)
    server.say = answer(GOOD, "201 Created", f"location: http://127.0.0.1:{server.port}/base/items/A-1")
    made = await site.send("POST", f"{ROOT}/items", b'{"sku":"A-1"}')
    assert (made.status, made.headers["location"]) == (201, f"{ROOT}/items/A-1")
    assert server.bodies[-1] == b'{"sku":"A-1"}'
    assert server.heads[0].startswith(b"GET /base/items/A-1 HTTP/1.1\r\n")
    assert server.connections == 1


async def test_the_api_learns_who_asks_and_gets_none_of_the_callers_credentials(site, server):
    await site.send(
        "GET",
        f"{ROOT}/items?limit=5",
        b"",
        ("cookie", "session=1"),
        ("x-crossdock-tenant", "someone-else"),
        ("x-api-key", "k"),
        ("connection", "x-crossdock-subject, x-depot"),
        ("x-depot", "north"),
        ("via", "1.0 theirs"),
        ("forwarded", "for=1.2.3.4"),
        ("if-none-match", '"1"'),
    )
    fields = fields_of(server.heads[0])
    assert server.heads[0].startswith(b"GET /base/items?limit=5 HTTP/1.1\r\n")
    assert (fields["x-crossdock-tenant"], fields["x-crossdock-subject"]) == ("acme", "partner-1")
    assert fields["via"] == "1.0 theirs, 1.1 crossdock"
    assert fields["forwarded"] == 'for=192.0.2.7;host="api.example.com";proto=https'
    assert fields["if-none-match"] == '"1"'
    assert fields["x-depot"] == "north"
    assert not {"cookie", "authorization", "x-api-key", "connection"} & set(fields)


@pytest.mark.parametrize("path", ["items/A-1", "items/none", "no-such"])
async def test_another_tenant_than_the_gateways_reaches_nothing_behind_it(site, server, path):
    site.auth.tenant = "other"
    got = await site.send("GET", f"{ROOT}/{path}")
    assert (got.status, got.code) == (403, "authorise.tenant")
    assert server.heads == []


async def test_fields_of_one_connection_and_of_the_machine_behind_stay_there(site, server):
    server.say = answer(
        GOOD,
        "200 OK",
        "connection: keep-alive, x-hop",
        "x-hop: 1",
        "server: secret/1.0",
        "set-cookie: a=b",
        "x-powered-by: PHP",
        "cache-control: public, max-age=60",
        'etag: "1"',
    )
    got = await site.send("GET", f"{ROOT}/items")
    assert got.status == 200
    assert not {"connection", "x-hop", "server", "set-cookie", "x-powered-by"} & set(got.headers)
    assert (got.headers["cache-control"], got.headers["etag"]) == ("private, max-age=60", '"1"')


async def test_conditional_requests_and_ranges_are_the_apis_business(site, server):
    server.say = b'HTTP/1.1 304 Not Modified\r\netag: "1"\r\n\r\n'
    got = await site.send("GET", f"{ROOT}/items", b"", ("if-none-match", '"1"'))
    assert (got.status, got.headers["etag"]) == (304, '"1"')


async def test_head_and_options_and_unknown_methods_are_answered(site, server):
    head = await site.send("HEAD", f"{ROOT}/items")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(GOOD)))
    options = await site.send("OPTIONS", f"{ROOT}/items")
    assert (options.status, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    refused = await site.send("DELETE", f"{ROOT}/items")
    assert (refused.status, refused.code) == (405, "request.method_not_allowed")
    assert (await site.send("GET", f"{ROOT}/nothing")).code == "route.not_found"
    assert len(server.heads) == 1


async def test_every_operation_needs_its_scope(site, server):
    assert (await site.send("GET", f"{ROOT}/items", credential="bad")).status == 401
    site.auth.scopes = frozenset({"system:read"})
    assert (await site.send("POST", f"{ROOT}/items", b'{"sku":"A"}')).code == "authorise.scope"
    assert server.heads == []


@pytest.mark.parametrize(
    "path",
    ["/items/..%2f..%2fadmin", "/items/%5cadmin", "/items/..;/admin", "/items/%2e%2e;x", "/items/%252e", "/items/a%00"],
)
async def test_no_path_leads_out_of_the_base(site, server, path):
    reply = await site.send("GET", ROOT + path)
    assert reply.status in (400, 404)
    assert server.heads == []


async def test_dot_segments_are_taken_out_before_anything_is_matched(site, server):
    assert (await site.send("GET", f"{ROOT}/items/../../../../admin")).status == 404
    await site.send("GET", f"{ROOT}/ticks/%2e%2e/items/%C3%A9")
    assert server.heads[0].startswith(b"GET /base/items/%C3%A9 HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=1e3", "limit"),
        ("limit=1&limit=2", "limit"),
        ("since=2026-02-30", "since"),
        ("other=1", "other"),
        ("limit=%ff", "query"),
    ],
)
async def test_a_query_that_does_not_fit_is_400_and_goes_nowhere(site, server, query, parameter):
    reply = await site.send("GET", f"{ROOT}/items?{query}")
    assert (reply.status, reply.code) == (400, "request.parameters")
    assert reply.problem["errors"][0]["parameter"] in (parameter, "limit")
    assert server.heads == []


async def test_a_list_parameter_may_be_repeated(site, server):
    assert (await site.send("GET", f"{ROOT}/items?tag=a&tag=b")).status == 200
    assert b"?tag=a&tag=b " in server.heads[0]


@pytest.mark.parametrize(
    ("body", "kind", "status", "pointer"),
    [
        (b'{"sku":"a"}', "application/json", 422, "/sku"),
        (b'{"sku":"A","parts":[{"sku":"B","made":"soon"}]}', "application/json", 422, "/parts/0/made"),
        (b'{"sku":"A","more":1}', "application/json", 422, ""),
        (b'{"sku":"A","sku":"B"}', "application/json", 400, None),
        (b'{"sku":', "application/json", 400, None),
        (b"[" * 10_000, "application/json", 400, None),
        (b'{"sku":"A"}', "text/plain", 415, None),
        (b'{"sku":"A"}', None, 415, None),
        (b"", None, 400, None),
    ],
)
async def test_a_body_that_does_not_fit_says_where_and_goes_nowhere(site, server, body, kind, status, pointer):
    reply = await site.send("POST", f"{ROOT}/items", body, kind=kind)
    assert reply.status == status
    if pointer is not None:
        assert reply.problem["errors"][0]["pointer"] == pointer
    assert server.heads == []


async def test_what_does_not_fit_is_only_counted_where_requests_are_observed(make_site, server):
    site = make_site(requests="observe")
    assert (await site.send("POST", f"{ROOT}/items", b'{"sku":"a"}')).status == 200
    assert (len(server.heads), site.violations) == (1, 1)


@pytest.mark.parametrize(
    "said",
    [
        answer(b'{"sku":5}'),
        answer(b"<html>", kind="text/html"),
        answer(b"not json"),
        answer(GOOD, "202 Accepted"),
        answer(GOOD, "200 OK", "content-encoding: gzip"),
    ],
)
async def test_a_wrong_answer_to_a_read_is_withheld_only_where_that_is_enforced(make_site, server, said):
    server.say = said
    strict, watching = make_site(responses="enforce"), make_site(responses="observe")
    withheld = await strict.send("GET", f"{ROOT}/items")
    assert (withheld.status, withheld.code) == (502, "proxied.answer_invalid")
    passed = await watching.send("GET", f"{ROOT}/items")
    assert passed.status in (200, 202)
    assert (strict.violations, watching.violations) == (1, 1)


async def test_a_wrong_answer_to_a_change_goes_out_since_its_effect_is_committed(site, server):
    server.say = answer(b'{"sku":5}', "201 Created")
    reply = await site.send("POST", f"{ROOT}/items", b'{"sku":"A"}')
    assert (reply.status, reply.body, site.violations) == (201, b'{"sku":5}', 1)


@pytest.mark.parametrize(
    ("method", "said", "status", "code"),
    [
        ("GET", answer(b"trace: secret", "500 Oops", kind="text/plain"), 502, "proxied.failed"),
        ("POST", answer(b"trace: secret", "500 Oops", kind="text/plain"), 504, "proxied.failed"),
        ("POST", answer(b"", "503 Busy", "retry-after: 7"), 503, "proxied.busy"),
        ("POST", answer(b"", "429 Slow down", "retry-after: 7"), 503, "proxied.busy"),
        ("POST", answer(b"", "401 Who?"), 502, "proxied.refused"),
        ("POST", answer(b"", "302 Found", "location: http://169.254.169.254/"), 502, "proxied.refused"),
        ("POST", answer(b"secret", "404 None"), 404, "proxied.rejected"),
    ],
)
async def test_an_error_that_is_not_declared_becomes_a_problem_that_names_who_to_ask(
    site, server, method, said, status, code
):
    server.say = said
    body = b'{"sku":"A"}' if method == "POST" else b""
    reply = await site.send(method, f"{ROOT}/items", body)
    assert (reply.status, reply.code) == (status, code)
    assert "secret" not in reply.body.decode()
    assert "items team" in reply.problem["detail"] or "retry-after" in reply.headers


async def test_declared_errors_and_redirects_pass_as_they_are_and_none_is_followed(site, server):
    server.say = answer(b"busy", "409 Conflict", kind="text/plain")
    assert ((await site.send("GET", f"{ROOT}/items/A")).status) == 409
    server.say = answer(b"", "302 Found", "location: /base/items/B")
    moved = await site.send("GET", f"{ROOT}/items/A")
    assert (moved.status, moved.headers["location"], len(server.heads)) == (302, f"{ROOT}/items/B", 2)


async def test_a_request_that_goes_in_circles_is_stopped(site, server):
    reply = await site.send("GET", f"{ROOT}/items", b"", ("via", "1.1 crossdock, 1.1 crossdock, 1.1 crossdock"))
    assert (reply.status, reply.code) == (508, "proxied.loop")
    assert server.heads == []


async def test_events_come_as_they_are_made_and_end_when_the_client_leaves(site, server):
    ended, more = asyncio.Event(), asyncio.Event()

    async def ticks(reader, writer, head):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n")
        await more.wait()
        writer.write(b"data: 2\n\n")
        await reader.read()
        ended.set()

    server.behave = ticks
    leave = asyncio.Event()
    stream = site.stream("GET", f"{ROOT}/ticks", leave=leave)
    head, first = await anext(stream), await anext(stream)
    assert (head["status"], first["body"]) == (200, b"data: 1\n\n")
    more.set()
    assert (await anext(stream))["body"] == b"data: 2\n\n"
    leave.set()
    assert [message async for message in stream] == []
    await asyncio.wait_for(ended.wait(), 10)


async def test_a_streamed_upload_is_passed_on_in_parts_and_bounded(make_site, server):
    seen = bytearray()

    async def keep(reader, writer, head):
        while not seen.endswith(b"0\r\n\r\n"):
            seen.extend(await reader.read(65_536) or b"0\r\n\r\n")
        writer.write(answer(b"kept", kind="text/plain"))

    server.behave = keep
    site = make_site(max_stream=1_000_000)
    reply = await site.send("POST", f"{ROOT}/files", [b"x" * 1000] * 20, kind="application/octet-stream")
    assert (reply.status, reply.body) == (200, b"kept")
    assert seen.count(b"x") == 20_000
    too_much = await site.send("POST", f"{ROOT}/files", [b"x" * 100_000] * 20, kind="application/octet-stream")
    assert (too_much.status, too_much.code) == (413, "request.body_too_large")


async def test_what_a_stream_asked_of_the_api_is_told_with_its_end(site, server):
    ended = []
    site.front._observe = lambda exchange, _: ended.append(exchange)
    for status in (200, 500):

        async def once(reader, writer, head, status=status):
            writer.write(b"HTTP/1.1 %d x\r\ncontent-type: text/event-stream\r\ncontent-length: 0\r\n\r\n" % status)

        server.behave = once
        await site.send("GET", f"{ROOT}/ticks")
    await server.stop()
    await site.send("GET", f"{ROOT}/ticks")
    made = [exchange.notes[OUTBOUND_KEY] for exchange in ended]
    assert [(call.system, call.method, call.outcome, call.attempts) for (call,) in made] == [
        ("legacy", "GET", "200", 1),
        ("legacy", "GET", "500", 1),
        ("legacy", "GET", "outbound.unreachable", 1),
    ]


async def test_a_stream_that_breaks_off_is_never_passed_on_as_whole(site, server):
    async def cut(reader, writer, head):
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"
        )
        await writer.drain()
        writer.close()

    server.behave = cut
    reply = await site.send("GET", f"{ROOT}/ticks")
    assert reply.status in (200, 503)
    assert reply.status == 503 or not reply.whole
