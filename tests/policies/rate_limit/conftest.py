import asyncio
import time

import pytest

from gateway.cache.valkey import Cache
from gateway.kernel.clock import SystemClock
from gateway.kernel.context import Principal, Zone
from gateway.kernel.errors import Unavailable
from gateway.kernel.exchange import Exchange, Route
from policies.rate_limit.limiter import Limiter
from policies.rate_limit.options import Limit
from policies.rate_limit.quota import quota_of

KEY = ("acme", "par_1", "all")


class HeldClock:
    """A clock that a test moves."""

    def __init__(self):
        self.seconds = 1_000.0

    def monotonic(self):
        return self.seconds


class DownCache:
    """A cache that is not there."""

    usable = False

    def key(self, *parts):
        return ":".join(parts)

    def script(self, source):
        async def run(keys, args):
            raise Unavailable("down", code="cache.unavailable")

        return run


def quota(rate="600/minute", *, workers=1, **given):
    return quota_of(Limit(rate=rate, **given), bucket="all", workers=workers)


async def charge(limiter, of, cost=1, key=KEY):
    found = limiter.charge(key, of, cost)
    return await found if asyncio.iscoroutine(found) else found


def exchange(*, plan="standard", partner="par_1", subject="cli_1", tenant="acme", peer="192.0.2.1", **route):
    made = Exchange({"method": "POST", "path": "/x", "headers": []}, None, 0.0)
    made.route = Route(
        **{"id": "POST /x", "method": "POST", "template": "/x", "api": "a", "version": "v1", "zone": None, **route}
    )
    made.peer = peer
    made.principal = Principal(
        tenant, subject, f"client:{subject}", frozenset({Zone.EXPERIENCE}), frozenset(), plan=plan, partner=partner
    )
    return made


async def admit(policy, made):
    waiting = policy.admit(made)
    if waiting is not None:
        await waiting


def headers(made):
    return {name.decode(): value.decode() for name, value in made.reply_headers}


async def eventually(holds, within=30.0):
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < within
        await asyncio.sleep(0.02)


@pytest.fixture
async def cache(valkey_url):
    cache = Cache(valkey_url, timeout=30.0)  # the machine may be busy; slowness has tests of its own
    await cache.open()
    yield cache
    await cache.close()


@pytest.fixture
async def make_limiter(cache):
    made = []

    def make(clock=None):
        made.append(Limiter(cache, clock or SystemClock(), name="test", buckets=1_000))
        return made[-1]

    yield make
    for limiter in made:
        await limiter.close()
