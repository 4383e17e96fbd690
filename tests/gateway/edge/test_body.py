"""Bodies: bounded in size and time, never decompressed."""

import pytest


async def test_a_body_beyond_its_announced_limit_is_413_before_it_is_read(door):
    headers = [("content-type", "text/plain"), ("content-length", "1001")]
    answer = await door.send("PUT", "/shop/v1/slow", headers=headers, body=[], stall=True)
    assert (answer.status, answer.code) == (413, "request.body_too_large")


async def test_an_endless_chunked_body_is_413_in_mid_stream(door):
    headers = [("content-type", "text/plain"), ("transfer-encoding", "chunked")]
    answer = await door.send("PUT", "/shop/v1/slow", headers=headers, body=[b"x" * 400] * 1000, stall=True)
    assert answer.status == 413


async def test_a_chunked_body_within_its_limit_is_put_together(door):
    answer = await door.send("PUT", "/shop/v1/slow", headers=[("content-type", "text/plain")], body=[b"x" * 100] * 10)
    assert answer.json == {"bytes": 1000}


async def test_a_stalled_body_is_408(make_door):
    door = make_door(body_seconds=0.05)
    headers = [("content-type", "text/plain"), ("content-length", "10")]
    answer = await door.send("PUT", "/shop/v1/slow", headers=headers, body=[b"abc"], stall=True)
    assert (answer.status, answer.code) == (408, "request.body_timeout")


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "gzip, identity"])
async def test_a_compressed_body_is_415(door, encoding):
    headers = [("content-type", "application/json"), ("content-encoding", encoding)]
    answer = await door.send("POST", "/shop/v1/orders", headers=headers, body=b"\x1f\x8b")
    assert (answer.status, answer.code) == (415, "request.content_encoding")


async def test_a_body_that_breaks_off_is_400_and_reaches_no_handler(door):
    """A client that left hears nothing; one that sent a broken chunk still listens (the server tells us no more)."""
    sent = []

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "http_version": "1.1", "method": "PUT", "path": "/shop/v1/slow", "raw_path": b"/shop/v1/slow",
        "query_string": b"", "client": ("192.0.2.7", 1),
        "headers": [(b"host", b"a"), (b"authorization", b"Bearer good"), (b"content-length", b"5")],
    }  # fmt: skip
    await door.front(scope, receive, send)
    assert sent[0]["status"] == 400
    assert b"request.body_incomplete" in sent[1]["body"]
    assert door.front.in_flight == 0


@pytest.mark.parametrize("length", ["-1", "1 0", "0x10", "1e1", "٣"])
async def test_a_content_length_that_is_no_number_is_refused(door, length):
    headers = [("content-type", "text/plain"), ("content-length", length.encode().decode("latin-1"))]
    answer = await door.send("PUT", "/shop/v1/slow", headers=headers, body=b"x")
    assert answer.status == 400
