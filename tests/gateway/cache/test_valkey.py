import asyncio
import signal
import time

import pytest

from gateway.cache.valkey import Cache, parse_address
from gateway.kernel.errors import BrokenUpstream, Misconfigured, Unavailable

from .conftest import answered, lost

integration = pytest.mark.integration


def test_an_address_is_read_and_never_shows_its_password():
    address = parse_address("rediss://app:p%40ss@cache.example:7000/3")
    assert (address.host, address.port, address.database) == ("cache.example", 7000, 3)
    assert (address.user, address.password, address.tls) == ("app", "p@ss", True)
    assert "p@ss" not in repr(address)


@pytest.mark.parametrize(
    "url", ["http://:hunter2@h", "redis://:hunter2@", "redis://:hunter2@h:port/0", "redis://:hunter2@h/zero"]
)
def test_an_address_that_is_no_cache_is_refused_without_its_password(url):
    with pytest.raises(Misconfigured) as caught:
        parse_address(url)
    assert "hunter2" not in caught.value.detail


async def test_a_cache_that_was_never_opened_is_unavailable():
    with pytest.raises(Unavailable) as caught:
        await Cache("redis://127.0.0.1:1/0").command("PING")
    assert caught.value.code == "cache.unavailable"


@integration
async def test_replies_come_back_to_who_asked_under_concurrency(cache):
    async def echo(number):
        return await cache.command("ECHO", number)

    assert await asyncio.gather(*map(echo, range(2000))) == [str(number).encode() for number in range(2000)]


@integration
async def test_bytes_text_and_numbers_are_stored_as_they_are(cache):
    value = bytes(range(256))
    assert await cache.command("SET", cache.key("item", "Ω/#", 7), value) == b"OK"
    assert await cache.command("GET", "cd1:item:Ω/#:7") == value
    assert await cache.command("GET", cache.key("absent")) is None


@integration
async def test_a_script_runs_again_after_the_server_forgot_it(cache):
    double = cache.script("return {KEYS[1], tonumber(ARGV[1]) * 2}")
    assert await double([cache.key("a")], [21]) == [b"cd1:a", 42]
    await cache.command("SCRIPT", "FLUSH")
    assert await asyncio.gather(*(double([cache.key("a")], [n]) for n in (1, 2))) == [[b"cd1:a", 2], [b"cd1:a", 4]]


@integration
async def test_an_error_reply_reaches_only_the_call_that_made_it(cache):
    await cache.command("SET", cache.key("text"), "x")
    replies = await asyncio.gather(
        cache.command("PING"), cache.command("INCR", cache.key("text")), cache.command("PING"), return_exceptions=True
    )
    assert replies[0] == replies[2] == b"PONG"
    assert isinstance(replies[1], BrokenUpstream)
    assert replies[1].code == "cache.error_reply"


@integration
async def test_a_cancelled_call_does_not_shift_the_replies_of_others(cache):
    first = asyncio.ensure_future(cache.command("ECHO", "first"))
    second = cache.command("ECHO", "second")
    first.cancel()
    assert await second == b"second"


@integration
async def test_a_wrong_password_refuses_to_start_and_is_not_shown(valkey, cache):
    wrong = Cache(f"redis://:wrong-password@127.0.0.1:{valkey.port}/0", timeout=60.0)
    with pytest.raises(Misconfigured) as caught:
        await wrong.open()
    assert "wrong-password" not in caught.value.detail
    missing = Cache(f"redis://127.0.0.1:{valkey.port}/0", timeout=60.0)
    with pytest.raises(Misconfigured):
        await missing.open()


@integration
async def test_a_killed_server_fails_calls_at_once_and_is_found_again_empty(valkey, cache):
    await cache.command("SET", cache.key("counter"), 5)
    made = cache.connections
    valkey.kill()
    assert await lost(cache)
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await cache.command("PING")
    assert time.monotonic() - began < 30  # less than one timeout
    valkey.start()
    assert await answered(cache, "GET", cache.key("counter")) is None
    assert cache.connections == made + 1


@integration
async def test_calls_under_way_when_the_server_dies_are_unavailable_not_hanging(valkey, cache):
    valkey.signal(signal.SIGSTOP)
    waiting = [cache.command("INCR", cache.key("n")) for _ in range(50)]
    await asyncio.sleep(0.05)
    valkey.kill()
    async with asyncio.timeout(30):  # less than one timeout
        replies = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(reply, Unavailable) for reply in replies)


@integration
async def test_a_silent_server_costs_one_timeout_then_nothing_until_it_answers_again(valkey, hasty):
    valkey.signal(signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await hasty.command("PING")
    assert 0.2 < time.monotonic() - began < 20
    began = time.monotonic()
    for _ in range(100):
        with pytest.raises(Unavailable):
            await hasty.command("PING")
    assert time.monotonic() - began < 20  # a hundred timeouts would be 25 s
    valkey.signal(signal.SIGCONT)
    assert await answered(hasty, "PING") == b"PONG"


@integration
async def test_a_server_that_stays_silent_is_given_up_and_connected_anew(valkey, hasty):
    made = hasty.connections
    valkey.signal(signal.SIGSTOP)
    with pytest.raises(Unavailable):
        await hasty.command("PING")
    assert await lost(hasty)
    valkey.signal(signal.SIGCONT)
    assert await answered(hasty, "PING") == b"PONG"
    assert hasty.connections > made


@integration
async def test_wiping_the_server_loses_the_values_and_nothing_else(cache):
    count = cache.script("return redis.call('INCR', KEYS[1])")
    assert await count([cache.key("n")]) == 1
    await cache.command("FLUSHALL")
    assert await count([cache.key("n")]) == 1


@integration
async def test_more_than_the_limit_outstanding_is_refused(valkey, cache):
    small = Cache(valkey.url, limit=10, timeout=60.0)
    await small.open()
    waiting = [small.command("PING") for _ in range(10)]
    with pytest.raises(Unavailable):
        await small.command("PING")
    assert await asyncio.gather(*waiting) == [b"PONG"] * 10
    await small.close()


@integration
async def test_a_cache_that_is_down_does_not_stop_us_from_starting(valkey, cache):
    valkey.kill()
    late = Cache(valkey.url)
    await late.open()
    with pytest.raises(Unavailable):
        await late.command("PING")
    valkey.start()
    assert await answered(late, "PING") == b"PONG"
    await late.close()
    with pytest.raises(Unavailable):
        await late.command("PING")


@integration
async def test_closing_fails_what_is_under_way_and_leaves_no_task(cache, valkey):
    valkey.signal(signal.SIGSTOP)
    waiting = cache.command("PING")
    await cache.close()
    with pytest.raises(Unavailable):
        await waiting
    valkey.signal(signal.SIGCONT)
