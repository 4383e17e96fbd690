"""A few hostile requests over a raw socket on the real server: what it lets through, the door refuses."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.engines.ports import free_port

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("granian")]
ROOT = Path(__file__).parents[3]
HEAD = b"Host: a\r\nAuthorization: Bearer good\r\nConnection: close\r\n"


def make_app():
    """What granian serves in this test."""
    sys.path.insert(0, str(Path(__file__).parent))
    import conftest  # noqa: PLC0415  # granian's worker finds it only now

    return conftest.Door({}, body_seconds=2.0).front


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    number = free_port(set())
    log = tmp_path_factory.mktemp("granian") / "log"
    command = [
        sys.executable, "-m", "granian", "--interface", "asgi", "--loop", "uvloop", "--runtime-mode", "st", "--port",
        str(number), "--http", "1", "--log-level", "warning", "--factory", f"{Path(__file__).stem}:make_app",
    ]  # fmt: skip
    variables = {**os.environ, "PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"}
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=variables)
    try:
        for _ in range(900):
            try:
                socket.create_connection(("127.0.0.1", number), 1).close()
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                try:
                    process.wait(0.1)
                except subprocess.TimeoutExpired:
                    continue
        yield number
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


async def send(port, raw):
    """The whole answer to `raw`, until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw)
    await writer.drain()
    try:
        async with asyncio.timeout(60):
            return await reader.read()
    finally:
        writer.close()


async def test_a_good_request_is_answered(port):
    answer = await send(port, b"GET /shop/v1/orders/o1 HTTP/1.1\r\n" + HEAD + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'{"id":"o1","tenant":"acme"}' in answer


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"GET /a%2fb HTTP/1.1\r\n" + HEAD + b"\r\n", b"400", b"request.path"),
        (b"GET /a\\b HTTP/1.1\r\n" + HEAD + b"\r\n", b"400", b""),
        (b"GET /%00 HTTP/1.1\r\n" + HEAD + b"\r\n", b"400", b"request.path"),
        (b"TRACE / HTTP/1.1\r\n" + HEAD + b"\r\n", b"405", b"request.method_not_allowed"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n", b"400", b"request.header_repeated"),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", b"400", b"request.host"),
        (b"GET / HTTP/1.1\r\n" + HEAD + b"X-Big: " + b"a" * 65_536 + b"\r\n\r\n", b"431", b"header_fields_too_large"),
        (b"GET / HTTP/1.1\r\n" + HEAD + b"".join(b"X-%d: a\r\n" % n for n in range(99)) + b"\r\n", b"431", b""),
        (b"GET / HTTP/1.1\r\n" + HEAD + b"X: a\rb\r\n\r\n", b"400", b""),
        (b"GET / HTTP/1.1\r\n" + HEAD + b"X: a\x00b\r\n\r\n", b"400", b""),
        (b"PUT /shop/v1/slow HTTP/1.1\r\n" + HEAD + b"Content-Length: 2000\r\n\r\n", b"413", b"body_too_large"),
        (b"PUT /shop/v1/slow HTTP/1.1\r\n" + HEAD + b"Content-Length: 9\r\n\r\nabc", b"408", b"body_timeout"),
        (
            b"PUT /shop/v1/slow HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
            + b"400\r\n" + b"a" * 1024 + b"\r\n" + b"0\r\n\r\n",
            b"413", b"body_too_large",
        ),
    ],
    ids=lambda value: value[:40].decode("latin-1") if isinstance(value, bytes) else None,
)  # fmt: skip
async def test_hostile_requests_are_refused_on_the_wire(port, raw, status, code):
    answer = await send(port, raw)
    assert answer.split(b" ", 2)[1] == status, answer[:300]
    assert code in answer


async def test_head_and_a_stream_go_over_the_wire(port):
    head = await send(port, b"HEAD /shop/v1/orders/o1 HTTP/1.1\r\n" + HEAD + b"\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert head.endswith(b"\r\n\r\n")
    stream = await send(port, b"GET /shop/v1/ticks HTTP/1.1\r\n" + HEAD + b"\r\n")
    assert b"data: 2" in stream
    assert stream.endswith(b"0\r\n\r\n")


async def test_a_stream_that_breaks_off_is_not_ended_as_if_it_were_whole(port):
    stream = await send(port, b"GET /shop/v1/ticks?fail=1 HTTP/1.1\r\n" + HEAD + b"\r\n")
    assert b"data: 1" in stream
    assert not stream.endswith(b"0\r\n\r\n")


async def test_connect_reaches_nobody(port):
    answer = await send(port, b"CONNECT a:1 HTTP/1.1\r\n" + HEAD + b"\r\n")
    assert b" 200" not in answer
