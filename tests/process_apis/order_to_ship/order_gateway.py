"""A gateway in a process of its own, of whatever release lies on the path: it places orders and prints their ids."""

import asyncio
import sys

import order_fakes as fakes
from order_world import ask

from gateway.kernel.clock import SystemClock
from gateway.store.postgres import Store
from process_apis.order_to_ship.process import OrderToShip


async def main(url, *numbers):
    store = Store(url, size=4)
    await store.open()
    seams = fakes.Seams(url)
    await seams.open()
    process = OrderToShip(
        store, SystemClock(), items=fakes.Items(), claims=fakes.Claims(), systems=fakes.Systems(seams)
    )
    for number in numbers:
        sys.stdout.write(f"{(await process.place_order(ask(number))).order.order_id}\n")
    await seams.close()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
