import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from gateway.canonical.capabilities import Call
from gateway.outbound.door import Outbound
from gateway.outbound.limits import SystemLimits


class HeldClock:
    """Stands still until it is told to move."""

    def __init__(self):
        self.seconds = 1000.0

    def now(self):
        return datetime(2026, 11, 21, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self):
        return self.seconds

    def advance(self, seconds):
        self.seconds += seconds


class Wire:
    """Stands where the network is: answers from a list, and keeps what was sent."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.sent = []

    async def __call__(self, request):
        self.sent.append(request)
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, BaseException):
            raise answer
        if callable(answer):
            return await answer(request)
        return answer if isinstance(answer, httpx.Response) else httpx.Response(answer)


async def hang(request):
    await asyncio.sleep(60)


@pytest.fixture
def clock():
    return HeldClock()


@pytest.fixture
def call(clock):
    return Call(tenant="acme", correlation_id="cor_1", deadline=clock.monotonic() + 10)


@pytest.fixture
def session_with(clock):
    """A session whose network is `wire`."""

    def make(wire, base_url="https://erp.example/base", **limits):
        outbound = Outbound(clock, transport=lambda _: httpx.MockTransport(wire))
        return outbound.session("erp", base_url, SystemLimits(**limits))

    return make
