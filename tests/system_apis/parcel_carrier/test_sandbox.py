"""What the sandbox keeps its customers to."""

import time

import msgspec
import pytest

from gateway.canonical.capabilities import Call
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Throttled
from gateway.outbound.door import Outbound
from gateway.outbound.limits import SystemLimits
from system_apis.parcel_carrier.adapter import Adapter
from system_apis.parcel_carrier.settings import Settings

pytestmark = pytest.mark.integration


async def test_calls_above_its_limit_are_refused(carrier):
    async with Outbound() as outbound:
        settings = msgspec.convert(carrier.settings(), Settings)
        limits = SystemLimits(breaker_failures=1000)
        adapter = Adapter("carrier_na", settings, outbound.session("carrier_na", carrier.url, limits), SystemClock())

        def ask():
            call = Call(tenant="acme", correlation_id="cor_1", deadline=time.monotonic() + 60)
            return adapter.check_health(call)

        await ask()
        await carrier.control("bucket", size=1, rate=0.001)
        await ask()
        with pytest.raises(Throttled):
            await ask()
    answers = [entry["status"] for entry in (await carrier.look("requests"))["entries"]]
    assert answers == [200, 200, 429]
