"""What schemathesis cannot send or see: broken bytes, wrong framing, headers of all answers, partners side by side.

Against granian and the whole chain. Each case says the status and, where our door answers, the stable code.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import socket
from typing import Any
from uuid import uuid4

import httpx
import pytest
from running_gateway import RunningGateway

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("contract")]

QUERIES = "/storefront/v1/availability-queries"
ORDERS = "/storefront/v1/orders"
AVAILABILITY = "/storefront/v1/availability"
JSON = {"Content-Type": "application/json"}
SHIP_TO = {"name": "A", "street": "B 1", "city": "C", "postal_code": "1", "country": "US"}


def an_order(**changes: Any) -> dict[str, Any]:
    lines = [{"sku": "SKU-0001", "quantity": "1"}]
    return {"external_number": f"PO-{uuid4()}", "ship_to": SHIP_TO, "lines": lines, **changes}


def key() -> dict[str, str]:
    return {"Idempotency-Key": f'"{uuid4()}"'}


def assert_problem(answer: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """A problem in the one shape, with our headers; returns it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["x-request-id"]
    if code is not None:
        assert problem["code"] == code, problem
    return problem


async def over_the_wire(gateway: RunningGateway, *parts: bytes, seconds: float = 60) -> bytes:
    """Send `parts` as they are and read until the server hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        async with asyncio.timeout(seconds):
            for part in parts:
                writer.write(part)
                await writer.drain()
            return await reader.read()
    finally:
        writer.close()


def head(gateway: RunningGateway, line: str, *fields: str) -> bytes:
    """A request's head with the first partner's key, ending the connection after it."""
    known = [line, "Host: a", f"X-Api-Key: {gateway.first.api_key}", "Connection: close", *fields, "", ""]
    return "\r\n".join(known).encode()


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


# --- bodies -----------------------------------------------------------------------------------------------------------

DEEP = 200_000
BROKEN_JSON = {
    "not JSON": b"{skus: [1]}",
    "cut off": b'{"skus": ["SKU-0001"',
    "two values": b'{"skus": ["SKU-0001"]} {}',
    "invalid UTF-8": b'{"skus": ["\xff\xfe"]}',
    "overlong UTF-8": b'{"skus": ["\xc0\xaf"]}',
    "UTF-16": '{"skus": ["SKU-0001"]}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"skus": ["SKU-0001"]}',
    "200,000 open brackets": b"[" * DEEP,
    "200,000 nested lists": b"[" * DEEP + b"]" * DEEP,
    "10,000 nested objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "a key twice": b'{"skus": ["SKU-0001"], "skus": ["SKU-0002"]}',
    "a key twice, once escaped": b'{"skus": ["SKU-0001"], "sku\\u0073": ["SKU-0002"]}',
    "NaN": b'{"skus": [NaN]}',
    "Infinity": b'{"skus": [-Infinity]}',
    "1e400": b'{"skus": [1e400]}',
    "an integer of 10,000 digits": b'{"skus": [' + b"9" * 10_000 + b"]}",
    "a fraction of 10,000 digits": b'{"skus": [0.' + b"9" * 10_000 + b"]}",
    "half a surrogate pair": b'{"skus": ["\\ud800"]}',
    "a surrogate pair reversed": b'{"skus": ["\\udc00\\ud800"]}',
    "a raw NUL": b'{"skus": ["a\x00b"]}',
    "a raw newline": b'{"skus": ["a\nb"]}',
}
UNFIT = {
    "a list": b"[]",
    "null": b"null",
    "a number for a text": b'{"skus": [5]}',
    "a text for a list": b'{"skus": "SKU-0001"}',
    "an unknown member": b'{"skus": ["SKU-0001"], "extra": 1}',
    "a missing member": b"{}",
    "an escaped NUL": b'{"skus": ["a\\u0000b"]}',
    "a trailing newline": b'{"skus": ["SKU-0001\\n"]}',
    "a C1 control character": b'{"skus": ["a\\u0085b"]}',
    "an empty list": b'{"skus": []}',
    "201 articles": json.dumps({"skus": ["SKU-0001"] * 201}).encode(),
}


@pytest.mark.parametrize("body", BROKEN_JSON.values(), ids=BROKEN_JSON.keys())
async def test_broken_json_is_400_at_once(gateway: RunningGateway, body):
    async with gateway.client() as client, asyncio.timeout(30):
        assert_problem(await client.post(QUERIES, content=body, headers=JSON), 400, "request.json")


async def test_no_body_where_one_is_needed_is_400(gateway: RunningGateway):
    async with gateway.client() as client:
        assert_problem(await client.post(QUERIES, headers=JSON), 400, "request.body_missing")


async def test_a_body_where_none_is_taken_is_400(gateway: RunningGateway):
    async with gateway.client() as client:
        assert_problem(await client.request("GET", ORDERS, json={}), 400, "request.body_unexpected")


@pytest.mark.parametrize("body", UNFIT.values(), ids=UNFIT.keys())
async def test_a_body_that_does_not_fit_is_422_and_says_where(gateway: RunningGateway, body):
    async with gateway.client() as client:
        problem = assert_problem(await client.post(QUERIES, content=body, headers=JSON), 422, "request.body_invalid")
    assert problem["errors"][0]["detail"]
    assert "pointer" in problem["errors"][0]


@pytest.mark.parametrize(
    "kind", [None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/xml",
             "application/jsonp", "text/json", "application/problem+json", "application/json; charset=utf-16"]
)  # fmt: skip
async def test_another_content_type_or_none_is_415(gateway: RunningGateway, kind):
    headers = {} if kind is None else {"Content-Type": kind}
    async with gateway.client() as client:
        answer = await client.post(QUERIES, content=b'{"skus": ["SKU-0001"]}', headers=headers)
    assert_problem(answer, 415, "request.media_type")


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON", "application/json; charset=utf-8"])
async def test_spellings_of_the_content_type_are_taken(gateway: RunningGateway, kind):
    async with gateway.client() as client:
        answer = await client.post(QUERIES, content=b'{"skus": ["SKU-0001"]}', headers={"Content-Type": kind})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "zstd", "gzip, gzip"])
async def test_an_encoded_body_is_not_unpacked(gateway: RunningGateway, coding):
    bomb = gzip.compress(b" " * 10_000_000)
    async with gateway.client() as client:
        answer = await client.post(QUERIES, content=bomb, headers={**JSON, "Content-Encoding": coding})
    assert_problem(answer, 415, "request.content_encoding")


async def test_whole_numbers_written_as_floats_are_still_no_texts(gateway: RunningGateway):
    order = an_order(lines=[{"sku": "SKU-0001", "quantity": 1.0}])
    async with gateway.client() as client:
        problem = assert_problem(await client.post(ORDERS, json=order, headers=key()), 422)
    assert problem["errors"][0]["pointer"] == "/lines/0/quantity"


@pytest.mark.parametrize(
    "amount", ["0", "-1", "1e3", "1_000", "NaN", "Infinity", "٣", " 1", "1 ", "1\n", "01", "1.", ".5"]
)
async def test_an_amount_is_written_in_one_way(gateway: RunningGateway, amount):
    order = an_order(lines=[{"sku": "SKU-0001", "quantity": amount}])
    async with gateway.client() as client:
        problem = assert_problem(await client.post(ORDERS, json=order, headers=key()), 422)
    assert problem["errors"][0]["pointer"] == "/lines/0/quantity"


@pytest.mark.parametrize("line", [{"sku": "nothing/#"}, {"sku": "SKU-0001", "unit": "KGM"}])
async def test_what_fits_the_contract_and_cannot_be_ordered_is_409_with_a_pointer(gateway: RunningGateway, line):
    async with gateway.client() as client:
        answer = await client.post(ORDERS, json=an_order(lines=[{"quantity": "1", **line}]), headers=key())
    problem = assert_problem(answer, 409, "order.lines_invalid")
    assert problem["errors"][0]["pointer"] == f"/lines/0/{list(line)[-1]}"


async def test_an_articles_number_may_hold_anything_printable(gateway: RunningGateway):
    sku = "SKU/3 #é&=+%2F"
    async with gateway.client() as client:
        figure = await client.get(AVAILABILITY, params={"sku": sku})
        assert (figure.status_code, figure.json()["sku"]) == (200, sku)
        placed = await client.post(ORDERS, json=an_order(lines=[{"sku": sku, "quantity": "2"}]), headers=key())
        assert (placed.status_code, placed.json()["lines"][0]["sku"]) == (201, sku)


# --- framing ----------------------------------------------------------------------------------------------------------


async def test_an_endless_body_is_413_in_mid_stream(gateway: RunningGateway):
    first = head(gateway, f"POST {QUERIES} HTTP/1.1", "Content-Type: application/json", "Transfer-Encoding: chunked")
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    sent = 0
    loop = asyncio.get_running_loop()
    # A bare socket: asyncio's transports drop an answer that has arrived when a later write fails.
    with socket.create_connection(("127.0.0.1", gateway.port)) as connection:
        connection.setblocking(False)
        async with asyncio.timeout(60):
            answer = asyncio.ensure_future(loop.sock_recv(connection, 65_536))
            with contextlib.suppress(ConnectionError):
                await loop.sock_sendall(connection, first)
                while not answer.done():
                    await loop.sock_sendall(connection, chunk)
                    sent += len(chunk)
            assert status_of(await answer) == 413
    assert sent < 64 * 1024 * 1024, "it read on long after the limit"


async def test_a_body_announced_too_large_is_413_before_it_is_sent(gateway: RunningGateway):
    fields = ("Content-Type: application/json", "Content-Length: 99999999999")
    answer = await over_the_wire(gateway, head(gateway, f"POST {QUERIES} HTTP/1.1", *fields))
    assert status_of(answer) == 413


async def test_a_stalled_body_is_408_and_others_are_served_meanwhile(gateway: RunningGateway):
    fields = ("Content-Type: application/json", "Content-Length: 100")
    stalled = asyncio.ensure_future(
        over_the_wire(gateway, head(gateway, f"POST {QUERIES} HTTP/1.1", *fields), b'{"skus":')
    )
    async with gateway.client() as client:
        assert (await client.get(AVAILABILITY, params={"sku": "SKU-0001"})).status_code == 200
    answer = await stalled
    assert status_of(answer) == 408
    assert b"request.body_timeout" in answer


@pytest.mark.parametrize(
    "fields",
    [["X-Long: " + "a" * 64 * 1024], [f"X-{number}: a" for number in range(200)]],
    ids=["a line of 64 KB", "200 fields"],
)
async def test_large_headers_are_431(gateway: RunningGateway, fields):
    answer = await over_the_wire(gateway, head(gateway, f"GET {ORDERS} HTTP/1.1", *fields))
    assert status_of(answer) == 431


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (["Host: b"], 400),
        (["Content-Length: 5", "Transfer-Encoding: chunked"], 400),
        (["Content-Length: 5", "Content-Length: 6"], 400),
        (["Content-Length: -1"], 400),
        (["Transfer-Encoding: gzip, chunked"], 400),
        (["X-Api-Key : a"], 400),
        (["X-Bad: a\x00b"], 400),
    ],
    ids=["two hosts", "two framings", "two lengths", "negative length", "unknown coding", "blank before colon", "NUL"],
)
async def test_ambiguous_framing_reaches_nobody(gateway: RunningGateway, fields, status):
    line = f"POST {QUERIES} HTTP/1.1"
    answer = await over_the_wire(gateway, head(gateway, line, "Content-Type: application/json", *fields) + b"0\r\n\r\n")
    assert status_of(answer) == status, answer[:200]


async def test_no_host_is_refused(gateway: RunningGateway):
    request = f"GET {ORDERS} HTTP/1.1\r\nX-Api-Key: {gateway.first.api_key}\r\nConnection: close\r\n\r\n".encode()
    assert status_of(await over_the_wire(gateway, request)) == 400


# --- methods and paths ------------------------------------------------------------------------------------------------


async def test_head_is_get_without_a_body(gateway: RunningGateway):
    async with gateway.client() as client:
        got = await client.get(AVAILABILITY, params={"sku": "SKU-0002"})
        headed = await client.head(AVAILABILITY, params={"sku": "SKU-0002"})
    assert (headed.status_code, headed.content) == (200, b"")
    assert headed.headers["content-length"] == str(len(got.content))


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (ORDERS, "GET, HEAD, OPTIONS, POST"),
        (QUERIES, "OPTIONS, POST"),
        ("/storefront/v1/items", "GET, HEAD, OPTIONS"),
        (f"{ORDERS}/ord_01m7yvm71hv31w2rs7zb3hfrq1/cancellation", "OPTIONS, POST"),
    ],
)
async def test_options_and_405_name_every_method_of_a_path(gateway: RunningGateway, path, allowed):
    async with gateway.client() as client:
        answer = await client.options(path)
        assert (answer.status_code, answer.headers["allow"]) == (204, allowed)
        for method in {"GET", "PUT", "PATCH", "DELETE", "POST", "TRACE", "QUERY"} - set(allowed.split(", ")):
            refused = await client.request(method, path)
            problem = assert_problem(refused, 405, "request.method_not_allowed")
            assert problem["title"] == "Method Not Allowed"
            if method != "TRACE":  # refused before its path is looked at
                assert refused.headers["allow"] == allowed
                assert "ratelimit" in refused.headers


@pytest.mark.parametrize("field", ["X-HTTP-Method-Override", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL"])
async def test_overrides_in_headers_are_ignored(gateway: RunningGateway, field):
    async with gateway.client() as client:
        answer = await client.get(ORDERS, headers={field: "DELETE" if "Method" in field else "/readyz"})
    assert answer.status_code == 200
    assert "items" in answer.json()


async def test_404_and_405_ask_for_a_credential_first(gateway: RunningGateway):
    async with gateway.client("") as client:
        for answer in (await client.get("/storefront/v1/nothing"), await client.delete(ORDERS)):
            assert_problem(answer, 401)
            assert answer.headers["www-authenticate"]
    async with gateway.client() as client:
        answer = await client.get("/storefront/v1/nothing")
        assert_problem(answer, 404, "route.not_found")
        assert "ratelimit" in answer.headers
        assert "ratelimit-policy" in answer.headers


@pytest.mark.parametrize(
    "path",
    [f"{ORDERS}/", f"/{ORDERS}", f"/.{ORDERS}", "/storefront/./v1//orders", "/x/../storefront/v1/orders",
     "/storefront/%76%31/orders", "/%2e%2e/storefront/v1/orders"],
)  # fmt: skip
async def test_spellings_of_a_path_are_one_operation(gateway: RunningGateway, path):
    answer = await over_the_wire(gateway, head(gateway, f"GET {path} HTTP/1.1"))
    assert status_of(answer) == 200
    assert b'"items":' in answer


@pytest.mark.parametrize(
    "path",
    ["/storefront/v1/..%2forders", "/storefront/v1/orders%5c", "/storefront/v1/orders%252f", "/storefront/v1/%00orders",
     "/storefront/v1/orders/%ff", "/storefront/v1/orders/%zz", "/storefront/v1/orders/%0d%0aX:1"],
)  # fmt: skip
async def test_a_path_that_can_be_read_in_two_ways_is_400(gateway: RunningGateway, path):
    answer = await over_the_wire(gateway, head(gateway, f"GET {path} HTTP/1.1"))
    assert status_of(answer) == 400
    assert b"request.path" in answer


@pytest.mark.parametrize(
    "path", ["/Storefront/v1/orders", "/storefront/v1/orders.json", "/storefront/v9/orders", "/admin"]
)
async def test_another_path_is_404_or_needs_another_right(gateway: RunningGateway, path):
    async with gateway.client() as client:
        assert_problem(await client.get(path), 404)


@pytest.mark.parametrize("path", ["/process/items/v1/items", "/system/regional-wms/v1/wms_north/stock"])
async def test_a_partner_is_refused_outside_its_zone(gateway: RunningGateway, path):
    async with gateway.client() as client:
        assert_problem(await client.get(path), 403)


@pytest.mark.parametrize(
    "query",
    ["limit=1&limit=2", "limit=null", "limit=NULL", "cursor=null", "limit=", "limit=0",
     "limit=201", "limit=1e1", "limit=1.0",
     "limit=%31%00", "limit=+1", "limit=0x1", "limit=%D9%A3", "unknown=1", "Limit=1",
     "limit[]=1", "limit=%zz", "limit=%ff",
     "cursor=", "cursor=..%2f", "&".join(f"x{number}=1" for number in range(300))],
)  # fmt: skip
async def test_a_query_string_that_does_not_fit_is_400(gateway: RunningGateway, query):
    async with gateway.client() as client:
        problem = assert_problem(await client.get(f"/storefront/v1/items?{query}"), 400, "request.parameters")
    assert problem["errors"]


async def test_a_cursor_is_good_for_its_own_list_and_partner_only(gateway: RunningGateway):
    async with gateway.client() as first, gateway.client(gateway.second.api_key) as second:
        for _ in range(2):
            await first.post(ORDERS, json=an_order(), headers=key())
        page = (await first.get(ORDERS, params={"limit": 1})).json()
        cursor = {"cursor": page["next_cursor"], "limit": 1}
        following = await first.get(ORDERS, params=cursor)
        assert following.status_code == 200
        assert following.json()["items"][0]["id"] != page["items"][0]["id"]
        assert_problem(await second.get(ORDERS, params=cursor), 404, "cursor.not_found")
        assert_problem(await first.get("/storefront/v1/items", params=cursor), 404, "cursor.not_found")


# --- who asks ---------------------------------------------------------------------------------------------------------


async def test_two_credentials_are_refused(gateway: RunningGateway):
    async with gateway.client() as client:
        both = await client.get(ORDERS, headers={"Authorization": f"Bearer {gateway.second.api_key}"})
    assert_problem(both, 400, "credential.multiple")
    twice = head(gateway, f"GET {ORDERS} HTTP/1.1", f"X-Api-Key: {gateway.second.api_key}")
    assert status_of(await over_the_wire(gateway, twice)) in (400, 401)


@pytest.mark.parametrize(
    "headers",
    [{}, {"X-Api-Key": ""}, {"X-Api-Key": "cdk_live_no_such"}, {"Authorization": "Bearer a.b.c"},
     {"Authorization": "Basic YTpi"},
     {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."}, {"X-User": "first"}, {"X_Api_Key": "a"}],
)  # fmt: skip
async def test_without_a_good_credential_every_operation_is_401_with_a_challenge(gateway: RunningGateway, headers):
    async with gateway.client("") as client:
        for method, path in (("GET", ORDERS), ("POST", ORDERS), ("GET", "/storefront/v1/items"), ("POST", QUERIES)):
            answer = await client.request(method, path, headers=headers)
            assert_problem(answer, 401)
            assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_partner_reaches_nothing_of_another_through_any_operation(gateway: RunningGateway):
    """Every operation that takes or lists an order, with an order of the first partner, asked by the second."""
    async with gateway.client() as first, gateway.client(gateway.second.api_key) as second:
        order = an_order()
        placed = await first.post(ORDERS, json=order, headers=key())
        assert placed.status_code == 201, placed.text
        number = placed.json()["id"]
        unknown = "ord_00000000000000000000000000"
        for method, path, more in (
            ("GET", f"{ORDERS}/%s", {}),
            ("HEAD", f"{ORDERS}/%s", {}),
            ("GET", f"{ORDERS}/%s/monitor", {}),
            ("POST", f"{ORDERS}/%s/cancellation", {"json": {"reason": "other"}}),
        ):
            theirs = await second.request(method, path % number, headers=key() if more else {}, **more)
            nobodys = await second.request(method, path % unknown, headers=key() if more else {}, **more)
            assert (theirs.status_code, nobodys.status_code) == (404, 404), path
            if method != "HEAD":  # not even the wording tells them apart
                tell = [
                    {name: answer.json()[name].replace(asked, "") for name in ("type", "title", "code", "detail")}
                    for answer, asked in ((theirs, number), (nobodys, unknown))
                ]
                assert tell[0] == tell[1]
        listed = (await second.get(ORDERS, params={"limit": 100})).json()["items"]
        assert number not in {summary["id"] for summary in listed}
        assert (await first.get(f"{ORDERS}/{number}")).json()["state"] == "promised", "it was cancelled by another"
        # The same number and even the same key are the second partner's own business.
        again = await second.post(ORDERS, json=order, headers=key())
        assert again.status_code == 201
        assert again.json()["id"] != number
        assert_problem(await second.post(ORDERS, json=an_order(account="CUST1"), headers=key()), 403)


async def test_the_same_key_of_two_partners_is_two_keys(gateway: RunningGateway):
    shared = key()
    async with gateway.client() as first, gateway.client(gateway.second.api_key) as second:
        one = await first.post(ORDERS, json=an_order(), headers=shared)
        two = await second.post(ORDERS, json=an_order(), headers=shared)
    assert (one.status_code, two.status_code) == (201, 201)
    assert one.json()["id"] != two.json()["id"]
    assert "idempotent-replayed" not in two.headers


# --- idempotency ------------------------------------------------------------------------------------------------------


async def test_a_retry_is_answered_from_the_record_and_other_content_is_422(gateway: RunningGateway):
    same, order = key(), an_order()
    async with gateway.client() as client:
        first = await client.post(ORDERS, json=order, headers=same)
        again = await client.post(ORDERS, json=order, headers={"Idempotency-Key": same["Idempotency-Key"].strip('"')})
        assert (first.status_code, again.status_code) == (201, 201)
        assert first.content == again.content
        assert again.headers["idempotent-replayed"] == "true"
        assert again.headers["location"] == first.headers["location"]
        assert_problem(await client.post(ORDERS, json=an_order(), headers=same), 422, "idempotency_key.reused")
        assert (await client.get(first.headers["location"])).json()["id"] == first.json()["id"]


@pytest.mark.parametrize("value", [None, "", '""', "a b", '"a', "x" * 256, "\u00e9".encode("latin-1")])
async def test_a_missing_or_malformed_key_is_400(gateway: RunningGateway, value):
    headers = {} if value is None else {"Idempotency-Key": value}
    async with gateway.client() as client:
        answer = await client.post(ORDERS, json=an_order(), headers=headers)
    problem = assert_problem(answer, 400)
    assert problem["code"] in ("idempotency_key.missing", "idempotency_key.malformed")
    assert problem["errors"][0]["parameter"] == "Idempotency-Key"


async def test_an_order_sent_twenty_times_at_once_is_one_order(gateway: RunningGateway):
    same, order = key(), an_order()
    async with gateway.client() as client:
        answers = await asyncio.gather(*(client.post(ORDERS, json=order, headers=same) for _ in range(20)))
    made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    assert len(made) == 1
    for answer in answers:
        if answer.status_code != 201:
            assert_problem(answer, 409)
            assert int(answer.headers["retry-after"]) > 0
