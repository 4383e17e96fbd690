import asyncio
import threading

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.profiles import RFC_9106_LOW_MEMORY

from gateway.identity.passwords import Passwords
from gateway.kernel.errors import Throttled

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


async def test_a_record_is_argon2id_with_the_cost_that_rfc_9106_recommends():
    record = await Passwords().make("correct horse battery")
    assert extract_parameters(record) == RFC_9106_LOW_MEMORY


async def test_the_record_of_nobody_costs_what_others_cost_and_fits_nothing():
    passwords = Passwords(CHEAP)
    assert extract_parameters(passwords._nobody) == extract_parameters(await passwords.make("x"))
    for password in ("", "x", "\0" * 32):
        assert not (await passwords.check(password, None)).right


@pytest.mark.parametrize("kept", ["", "nonsense", "$argon2id$v=19$broken", "$argon2i$v=19$m=8,t=1,p=1$AAAA$AAAA"])
async def test_a_broken_record_fits_nothing(kept):
    assert not (await Passwords(CHEAP).check("x", kept)).right


async def test_few_hash_at_once_and_few_wait():
    begun, go_on = threading.Semaphore(0), threading.Event()

    class Slow(PasswordHasher):
        def hash(self, password, *, salt=None):
            begun.release()
            go_on.wait(20)
            return "record"

    passwords = Passwords(Slow(time_cost=1, memory_cost=8, parallelism=1))
    asked = [asyncio.create_task(passwords.make("x")) for _ in range(22)]
    for _ in range(2):
        assert await asyncio.to_thread(begun.acquire, timeout=20)
    with pytest.raises(Throttled):
        await passwords.make("x")
    assert not begun.acquire(blocking=False)
    go_on.set()
    assert await asyncio.gather(*asked) == ["record"] * 22
    assert await passwords.make("x") == "record"
