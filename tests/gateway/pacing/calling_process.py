"""A process that calls a paced system as fast as it may, until it is killed, and writes down when it arrived there."""

import asyncio
import contextlib
import os
import random
import sys
import time

from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Throttled
from gateway.pacing.options import SystemPace
from gateway.pacing.windows import CallWindows
from gateway.store.postgres import Store


async def main(url: str, log: str, calls: str, seconds: str) -> None:
    store = Store(url, size=4)
    await store.open()
    windows = CallWindows(store, SystemClock(), {"erp": SystemPace(calls=int(calls), window_seconds=float(seconds))})
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def caller() -> None:
        while True:
            with contextlib.suppress(Throttled):  # what the killed had under way counts until its time is up
                async with windows.call("erp", 3.0):
                    await asyncio.sleep(random.uniform(0, 0.02))
                    os.write(descriptor, f"{time.monotonic():.6f}\n".encode())
                    await asyncio.sleep(random.uniform(0, 0.02))

    await asyncio.gather(*(caller() for _ in range(3)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
