"""What channels hear, and when: ``python -m benchmarks.inventory.watching``. Imports nothing of ours.

Receives webhooks, follows a stream of events, and asks for a few figures again and again until they are there. A plan
as JSON on the first line of standard input; it prints the receiver's port, listens on the next line with the rest of
the plan, and writes ``[path, sku, quantity, seconds]`` a line, by the wall clock of this machine.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import h11
import httpx

_POLL_S = 0.02
_ASKED_TOGETHER = 100


class Heard:
    """The log of everything heard."""

    def __init__(self, path: Path) -> None:
        self._file: TextIO = path.open("w", encoding="utf-8", buffering=1 << 16)

    def note(self, path: str, at: float, figure: dict[str, Any]) -> None:
        """One figure."""
        amount, item = figure["available_to_sell"], figure.get("item")
        amount = amount["amount"] if isinstance(amount, dict) else amount  # v2, v1
        sku = item["sku"] if isinstance(item, dict) else figure["sku"]
        self.say(path, sku, float(amount), at)

    def say(self, path: str, sku: str, amount: float, at: float) -> None:
        """One figure, as it stands in the log."""
        self._file.write(json.dumps([path, sku, amount, at]) + "\n")

    def close(self) -> None:
        """Write what is left."""
        self._file.close()


async def _receive(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    connection, body = h11.Connection(h11.SERVER), bytearray()
    try:
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(65_536))
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                message = json.loads(bytes(body))
                body.clear()
                if message["type"] == "availability.changed":
                    heard.note("webhook", time.time(), message["data"])
                answer = connection.send(h11.Response(status_code=204, headers=[]))
                writer.write((answer or b"") + (connection.send(h11.EndOfMessage()) or b""))
                await writer.drain()
                connection.start_next_cycle()
            elif isinstance(event, h11.ConnectionClosed):
                break
    except (ConnectionError, h11.ProtocolError):
        return
    finally:
        writer.close()


async def _follow(heard: Heard, plan: dict[str, Any]) -> None:
    headers, rest = {"X-Api-Key": plan["key"], "Accept": "text/event-stream"}, ""
    async with (
        httpx.AsyncClient(base_url=plan["gateway"], trust_env=False, timeout=120) as client,
        client.stream("GET", "/storefront/v2/events", headers=headers) as answer,
    ):
        answer.raise_for_status()
        async for part in answer.aiter_text():
            at = time.time()
            *events, rest = (rest + part).split("\n\n")
            for event in events:
                fields = dict(line.split(": ", 1) for line in event.splitlines() if ": " in line)
                if fields.get("event") == "availability.changed":
                    heard.note("stream", at, json.loads(fields["data"])["data"])


async def _ask(heard: Heard, plan: dict[str, Any], asked: asyncio.Queue[tuple[str, float]]) -> None:
    """Ask for all that is waited for at once, so that no question waits for the answer to another."""
    wanted: dict[tuple[str, float], None] = {}
    async with httpx.AsyncClient(base_url=plan["gateway"], trust_env=False, timeout=30) as client:
        while True:
            if not wanted:
                wanted[await asked.get()] = None
            while not asked.empty():
                wanted[asked.get_nowait()] = None
            skus = list(dict.fromkeys(sku for sku, _ in wanted))[:_ASKED_TOGETHER]
            answer = await client.post(
                "/storefront/v2/availability-queries", json={"skus": skus}, headers={"X-Api-Key": plan["key"]}
            )
            at = time.time()
            answer.raise_for_status()
            for figure in answer.json()["items"]:
                amount = float(figure["available_to_sell"]["amount"])
                for sku, least in [each for each in wanted if each[0] == figure["item"]["sku"] and amount >= each[1]]:
                    del wanted[sku, least]
                    heard.say("projection", sku, least, at)
            await asyncio.sleep(_POLL_S)


async def main() -> None:
    """Receive, follow, ask, until standard input ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    heard = Heard(Path(json.loads(await reader.readline())["log"]))
    server = await asyncio.start_server(lambda r, w: _receive(heard, r, w), "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    plan = json.loads(await reader.readline())
    asked: asyncio.Queue[tuple[str, float]] = asyncio.Queue()
    tasks = [asyncio.create_task(_follow(heard, plan))]
    tasks.append(asyncio.create_task(_ask(heard, plan, asked)))
    print("listening", flush=True)
    while line := await reader.readline():
        asked.put_nowait(tuple(json.loads(line)))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    server.close()
    heard.close()


if __name__ == "__main__":
    asyncio.run(main())
