"""A sandbox's own process: its command line, and its life from the line that says it is ready to SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final

from gateway.sandboxes.child import end_with_parent
from gateway.sandboxes.http import Handler, HttpServer
from gateway.sandboxes.webhooks import WebhookSender

_LET_GO_S: Final = 0.05  # see gateway/outbound/pools.py: the HTTP client's thread outlives its close


def command_line(module: str, description: str | None, *, seed: str) -> argparse.ArgumentParser:
    """What every sandbox takes; `seed` says what the seed's JSON holds."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--folder", type=Path, required=True, help="where its books and logs are kept")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--seed", type=Path, help=f"JSON, used when the books are empty: {seed}")
    parser.add_argument("--die-with-parent", action="store_true", help="end when the starting process ends")
    return parser


def begun(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The arguments given; the folder is there, and the process ends with its parent if it was told to."""
    given = parser.parse_args()
    if given.die_with_parent:
        end_with_parent()
    given.folder.mkdir(parents=True, exist_ok=True)
    return given


def fill(seed: Callable[[dict[str, Any]], None], path: Path | None) -> None:
    """Have `seed` fill the books from a file, if there is one."""
    if path is not None:
        seed(json.loads(path.read_text(encoding="utf-8")))


def ready(url: str) -> None:
    """Tell who started this process that it answers: one line of JSON."""
    print(json.dumps({"url": url, "pid": os.getpid()}), flush=True)  # noqa: T201


def serve(
    handler: Handler, *, port: int, closing: Iterable[Callable[[], None]], sender: WebhookSender | None = None
) -> None:
    """Answer on loopback, and send webhooks, until SIGTERM or SIGINT; then call `closing` in turn."""
    asyncio.run(_serve(handler, port, closing, [sender.run] if sender else []))


async def _serve(
    handler: Handler, port: int, closing: Iterable[Callable[[], None]], beside: list[Callable[[], Awaitable[None]]]
) -> None:
    server, stop = HttpServer(handler), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    taken = await server.start(port)
    tasks = [asyncio.ensure_future(each()) for each in beside]
    ready(f"http://127.0.0.1:{taken}")
    await stop.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await server.stop()
    await asyncio.sleep(_LET_GO_S)
    for close in closing:
        close()
