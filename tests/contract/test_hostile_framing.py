"""Where a request ends: lengths, chunks, stalls and floods, against one worker and two.

What granian refuses before us has an empty body (400); whatever else is refused is problem details. A request that was
smuggled into another's body would show as a second answer.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from contextlib import suppress

import pytest
from running_gateway import RunningGateway
from wire import Case, answer, exchange, misfits, parse, request

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("contract")]

QUERIES = "/storefront/v1/availability-queries"
POST = f"POST {QUERIES} HTTP/1.1"
JSON = "Content-Type: application/json"
BODY = b'{"skus":["SKU-0001"]}'
SMUGGLED = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
REFUSED = frozenset({400})


def post(gateway: RunningGateway, *fields: str, body: bytes = b"", close: bool = True, line: str = POST) -> bytes:
    return request(line, f"X-Api-Key: {gateway.first.api_key}", JSON, *fields, body=body, close=close)


LENGTHS = ("-1", "+1", "0x15", "1e1", "21.0", "21 ", "2 1", "21,21", "21, 22", "", " ", "abc", "\u00b2", "1_0",
           "9" * 30,
           "18446744073709551616", "18446744073709551637", "99999999999999999999", "-18446744073709551595", "0x",
           "\x0021")  # fmt: skip
ODD_CODINGS = ("gzip", "gzip, chunked", "chunked, gzip", "chunked, chunked", "identity", "identity, chunked",
               "xchunked",
               "chunked;q=1", '"chunked"', "chunke\u0064x", "chunked,", ", chunked", "chunk", "deflate", "",
               "\x0bchunked")  # fmt: skip


async def test_a_length_that_is_no_number_is_refused(door: RunningGateway):
    same = {"21 ", "21,21"}  # a blank after the value is no part of it; equal lengths in a list are one (RFC 9110, 8.6)
    cases = [
        Case(repr(length), post(door, f"Content-Length: {length}", body=BODY),
             frozenset({200, 400}) if length in same else frozenset({400, 413}))
        for length in LENGTHS
    ]  # fmt: skip
    assert not await misfits(door, cases)


async def test_a_coding_that_is_not_chunked_is_refused(door: RunningGateway):
    chunked = b"15\r\n" + BODY + b"\r\n0\r\n\r\n"
    accepted = {"chunked,", ", chunked"}  # empty list elements count for nothing (RFC 9110, 5.6.1.2)
    cases = [
        Case(repr(coding), post(door, f"Transfer-Encoding: {coding}", body=chunked),
             frozenset({200, 400}) if coding in accepted else REFUSED)
        for coding in ODD_CODINGS
    ]  # fmt: skip
    assert not await misfits(door, cases)


FRAMINGS = [
    (f"Content-Length: {length}", coding)
    for length, coding in itertools.product(
        ("0", "4", "6", "21", "1000"),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: Chunked", "transfer-encoding:chunked",
         "Transfer-Encoding:\tchunked", "Transfer-Encoding: chunked, identity", "Transfer-Encoding: x",
         "Transfer-Encoding : chunked", "Transfer_Encoding: chunked",
         "Transfer-Encoding: chunked\r\nTransfer-Encoding: x"),
    )
]  # fmt: skip


@pytest.mark.parametrize("close", [True, False], ids=["closed after it", "kept open"])
async def test_two_framings_let_nothing_be_smuggled(door: RunningGateway, close):
    """CL.TE and TE.CL in both orders: refused, or read by one of the two and never answered twice."""

    async def one(fields: tuple[str, ...], payload: bytes) -> tuple[object, list[int]]:
        last = b"" if close else request("GET /nothing HTTP/1.1")
        answers = await exchange(door, post(door, *fields, body=payload, close=close) + last)
        return fields, [got.status for got in answers]

    payloads = (b"0\r\n\r\n" + SMUGGLED, b"4\r\nABCD\r\n0\r\n\r\n" + SMUGGLED)
    alias = [fields for fields in FRAMINGS if "Transfer_Encoding" not in fields[1]]
    for payload in payloads:
        told = await asyncio.gather(*(one(pair, payload) for fields in alias for pair in (fields, fields[::-1])))
        for fields, statuses in told:
            assert statuses == [400], (fields, payload, statuses)


async def test_an_alias_of_transfer_encoding_frames_nothing(door: RunningGateway):
    fields = ("Transfer_Encoding: chunked", "Transfer.Encoding: chunked", "X-Transfer-Encoding: chunked")
    cases = [
        Case(field, post(door, field, f"Content-Length: {len(BODY)}", body=BODY), frozenset({200})) for field in fields
    ]
    assert not await misfits(door, cases)


BROKEN_CHUNKS = {
    "no size": b"\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a negative size": b"-15\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a signed size": b"+15\r\n" + BODY + b"\r\n0\r\n\r\n",
    "0x": b"0x15\r\n" + BODY + b"\r\n0\r\n\r\n",
    "an underscore": b"1_5\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a word": b"zz\r\n" + BODY + b"\r\n0\r\n\r\n",
    "17 digits": b"1" + b"0" * 16 + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
    "too short a size": b"5\r\n" + BODY + b"\r\n0\r\n\r\n",
    "too long a size": b"16\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a bare LF after the size": b"15\n" + BODY + b"\r\n0\r\n\r\n",
    "a bare CR after the size": b"15\r" + BODY + b"\r\n0\r\n\r\n",
    "NUL after the size": b"15\x00\r\n" + BODY + b"\r\n0\r\n\r\n",
    "an extension of 64 KB": b"15;" + b"a" * 65_536 + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
    "an extension with LF": b"15;a\nb\r\n" + BODY + b"\r\n0\r\n\r\n",
    "trailers of 128 KB": b"15\r\n" + BODY + b"\r\n0\r\n" + b"X-A: " + b"a" * 131_072 + b"\r\n\r\n",
    "2,000 trailers": b"15\r\n" + BODY + b"\r\n0\r\n" + b"X-A: a\r\n" * 2_000 + b"\r\n",
}


@pytest.mark.parametrize("kind", BROKEN_CHUNKS)
async def test_a_broken_chunk_is_answered_once_and_soon(door: RunningGateway, kind):
    """Half a body is no body: 400 or 408, or the connection is closed without an answer; never 2xx, never 500."""
    raw = post(door, "Transfer-Encoding: chunked", body=BROKEN_CHUNKS[kind] + SMUGGLED)
    answers = await exchange(door, raw)
    assert len(answers) <= 1, answers
    assert not answers or answers[0].status in {400, 408, 431}, answers


async def test_trailers_add_no_headers(door: RunningGateway):
    """A credential or a key that comes behind the body comes too late."""
    body = b"15\r\n" + BODY + b"\r\n0\r\nX-Api-Key: " + door.first.api_key.encode() + b"\r\n\r\n"
    late = request(POST, JSON, "Transfer-Encoding: chunked", "Trailer: X-Api-Key", body=body)
    assert (await answer(door, late)).status == 401
    bad = b"15\r\n" + BODY + b"\r\n0\r\nContent-Length: 5\r\nHost: b\r\n\r\n"
    assert (await answer(door, post(door, "Transfer-Encoding: chunked", body=bad))).status in {200, 400}


async def test_the_unread_body_of_a_refused_request_is_not_the_next_request(door: RunningGateway):
    """Refused before its body was read (401, 404, 405, 413, 415): the body is dropped, or the connection is."""
    length = f"Content-Length: {len(SMUGGLED)}"
    refused = {
        "401": request(POST, JSON, length, body=SMUGGLED, close=False),
        "404": post(door, length, body=SMUGGLED, close=False, line="POST /storefront/v1/nothing HTTP/1.1"),
        "405": post(door, length, body=SMUGGLED, close=False, line=f"DELETE {QUERIES} HTTP/1.1"),
        "400 path": post(door, length, body=SMUGGLED, close=False, line="POST /a%2fb HTTP/1.1"),
        "400 unexpected body": post(door, length, body=SMUGGLED, close=False, line="GET /storefront/v1/items HTTP/1.1"),
        "415": request(
            POST, f"X-Api-Key: {door.first.api_key}", "Content-Type: text/plain", length, body=SMUGGLED, close=False
        ),
        "401 chunked": request(
            POST,
            "Transfer-Encoding: chunked",
            body=b"%x\r\n" % len(SMUGGLED) + SMUGGLED + b"\r\n0\r\n\r\n",
            close=False,
        ),
    }
    for name, raw in refused.items():
        answers = await exchange(door, raw + request("GET /nothing HTTP/1.1"))
        statuses = [got.status for got in answers]
        assert statuses[0] == int(name[:3]), (name, answers)
        assert statuses[1:] in ([], [404]), (name, answers)  # never the 200 of what stood in the body


async def test_pipelined_requests_are_answered_in_order_each_by_its_own_credential(door: RunningGateway):
    mine = request("GET /storefront/v1/items?limit=1 HTTP/1.1", f"X-Api-Key: {door.first.api_key}", close=False)
    nobodys = request("GET /storefront/v1/items HTTP/1.1", close=False)
    answers = await exchange(door, (mine + nobodys) * 10 + request("GET /livez HTTP/1.1"))
    assert [got.status for got in answers] == [200, 401] * 10 + [200]


# --- time -------------------------------------------------------------------------------------------------------------


async def held(gateway: RunningGateway, *pieces: bytes, pause: float = 0.4) -> tuple[int, float]:
    """Send `pieces` one by one, the last again and again; the status that came and after how many seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    begun = time.monotonic()
    received = b""
    try:
        async with asyncio.timeout(60):
            reading = asyncio.ensure_future(reader.read())
            for piece in itertools.chain(pieces, itertools.repeat(pieces[-1])):
                with suppress(ConnectionError):
                    writer.write(piece)
                    await writer.drain()
                done, _ = await asyncio.wait((reading,), timeout=pause)
                if done:
                    break
            with suppress(ConnectionError):
                received = await reading
    finally:
        writer.close()
    answers = parse(received)
    return (answers[0].status if answers else 0), time.monotonic() - begun


async def test_slow_clients_time_out_and_nobody_else_waits(door: RunningGateway):
    """Headers or bodies that come a byte at a time, or not at all: closed or 408 within seconds."""
    start = (
        POST.encode() + b"\r\nHost: a\r\nX-Api-Key: " + door.first.api_key.encode() + b"\r\n" + JSON.encode() + b"\r\n"
    )
    slow = {
        "half a request line": held(door, b"GET /live"),
        "a header at a time": held(door, start, b"X-A: a\r\n"),
        "a byte of a header at a time": held(door, start + b"X-A: ", b"a"),
        "a stalled body": held(door, start + b"Content-Length: 100\r\n\r\n", b""),
        "a byte of a body at a time": held(door, start + b"Content-Length: 100000\r\n\r\n", b" "),
        "a chunk at a time": held(door, start + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        "a stalled chunk": held(door, start + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n", b""),
    }

    async def meanwhile() -> list[int]:
        async with door.client() as client:
            return [(await client.get("/storefront/v1/items?limit=1")).status_code for _ in range(20)]

    *told, others = await asyncio.gather(*slow.values(), meanwhile())
    assert others == [200] * 20
    for name, outcome in zip(slow, told, strict=True):
        status, _ = outcome
        assert status == (408 if "body" in name or "chunk" in name else 0) or status in {400, 408}, (name, outcome)


async def test_many_idle_connections_keep_nobody_out(door: RunningGateway):
    idle = [await asyncio.open_connection("127.0.0.1", door.port) for _ in range(300)]
    try:
        async with door.client() as client, asyncio.timeout(60):
            answers = [await client.get("/storefront/v1/items?limit=1") for _ in range(10)]
        assert {got.status_code for got in answers} == {200}
    finally:
        for _, writer in idle:
            writer.close()


async def test_clients_that_hang_up_leave_nothing_behind(door: RunningGateway):
    """Reset at every point of a request, many times; whoever comes next is served."""
    whole = post(door, f"Content-Length: {len(BODY)}", body=BODY)

    async def cut(at: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(whole[:at])
        with suppress(ConnectionError):
            await writer.drain()
        given = writer.get_extra_info("socket")
        given.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        writer.transport.abort()

    for start in range(0, len(whole), 20):
        await asyncio.gather(*(cut(at) for at in range(start, min(start + 20, len(whole)), 4)))
    assert (await answer(door, whole)).status == 200
    assert "Traceback" not in door.log.read_text(encoding="utf-8")


@pytest.mark.parametrize("framing", ["chunked", "length"])
async def test_an_endless_body_is_413_in_mid_stream(door: RunningGateway, framing):
    """One chunk after the other, or one that was announced larger than it may be: refused while it is still coming."""
    endless = framing == "chunked"
    field = "Transfer-Encoding: chunked" if endless else "Content-Length: 90000000"
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n" if endless else b" " * 0x10000
    loop = asyncio.get_running_loop()
    with socket.create_connection(("127.0.0.1", door.port)) as connection:
        connection.setblocking(False)  # its own signature
        receiving = asyncio.ensure_future(loop.sock_recv(connection, 65_536))
        sent = 0
        async with asyncio.timeout(60):
            await loop.sock_sendall(connection, post(door, field))
            with suppress(ConnectionError):
                while not receiving.done():
                    await loop.sock_sendall(connection, piece)
                    sent += len(piece)
                    await asyncio.sleep(0)
            (got,) = parse(await receiving)
    assert (got.status, got.code) == (413, "request.body_too_large")
    assert sent < 64 << 20, "it read on long after the limit"
