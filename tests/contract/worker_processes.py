"""The worker processes behind a running gateway: which one serves a connection, and what becomes of killed ones."""

from __future__ import annotations

import asyncio
import time

import httpx
import psutil
from running_gateway import RunningGateway

_PATIENCE = 120.0
_YOUNG = 6.0


def workers_of(gateway: RunningGateway) -> dict[int, psutil.Process]:
    """The processes that serve the gateway's port, by pid."""
    children = psutil.Process(gateway.process.identity.pid).children(recursive=True)
    return {child.pid: child for child in children if _holds(child, gateway.port)}


def _holds(process: psutil.Process, port: int) -> bool:
    try:
        return any(pair.laddr and pair.laddr.port == port for pair in process.net_connections("tcp4"))
    except psutil.Error:
        return False


def server_of(gateway: RunningGateway, local_port: int) -> int | None:
    """The pid of the worker at the other end of the connection from `local_port`."""
    for pid, process in workers_of(gateway).items():
        if any(pair.raddr and pair.raddr.port == local_port for pair in process.net_connections("tcp4")):
            return pid
    return None


async def connect_to_each(gateway: RunningGateway, workers: int, each: int) -> list[httpx.AsyncClient]:
    """Clients with one open connection each, `each` of them at every worker."""
    held: dict[int, list[httpx.AsyncClient]] = {}
    end = time.monotonic() + _PATIENCE
    while len(held) < workers or min(map(len, held.values())) < each:
        assert time.monotonic() < end, "the connections do not reach every worker"
        # Several at once: of connections that come one by one the same worker may accept every one.
        for client, local in await asyncio.gather(*(_connected(gateway) for _ in range(each * workers))):
            pid = server_of(gateway, local)
            if pid is not None and len(held.setdefault(pid, [])) < each:
                held[pid].append(client)
            else:
                await client.aclose()
    return [client for clients in held.values() for client in clients]


async def _connected(gateway: RunningGateway) -> tuple[httpx.AsyncClient, int]:
    """A client with an open connection, and the port it comes from."""
    client = httpx.AsyncClient(
        base_url=gateway.url, headers={"X-Api-Key": gateway.first.api_key}, trust_env=False, timeout=30
    )
    async with client.stream("GET", "/livez") as answer:
        local = answer.extensions["network_stream"].get_extra_info("client_addr")[1]
        await answer.aread()
    return client, local


async def grown_up(gateway: RunningGateway) -> None:
    """Until no worker is so young that granian takes its death for a crash loop (5.5 s) and ends the server."""
    born = max(process.create_time() for process in workers_of(gateway).values())
    await asyncio.sleep(max(0.0, born + _YOUNG - time.time()))


async def kill_workers(gateway: RunningGateway) -> None:
    """SIGKILL, every worker at once."""
    for process in workers_of(gateway).values():
        process.kill()


async def back_again(gateway: RunningGateway, workers: int) -> None:
    """Until there are `workers` again and whoever answers is ready."""
    end = time.monotonic() + _PATIENCE
    ready = 0
    while ready < 4 * workers:
        assert time.monotonic() < end, "the workers did not come back"
        try:
            async with gateway.client("") as client:
                answer = await client.get("/readyz")
        except httpx.HTTPError:
            answer = None
        good = answer is not None and answer.status_code == 200 and len(workers_of(gateway)) >= workers
        ready = ready + 1 if good else 0
        if not good:
            await asyncio.sleep(0.1)
