"""``python -m gateway.engines FOLDER [ENGINE ...]`` runs engines until Ctrl-C or SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from gateway.engines.engine import ALL
from gateway.engines.supervisor import Engines
from gateway.kernel.errors import CrossdockError


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


async def _serve(folder: Path, names: list[str]) -> None:
    """Runs until a signal. Signals during the start cut it short; the stop after it is not cut short by more."""
    loop = asyncio.get_running_loop()
    engines = Engines(folder, only=names or ALL, progress=_say)
    starting = asyncio.ensure_future(engines.start())
    told = asyncio.Event()

    def on_signal() -> None:
        told.set()
        starting.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    try:
        await starting
        _say("all engines answer; Ctrl-C stops them")
        await told.wait()
    except asyncio.CancelledError:
        _say("start was interrupted")
    finally:
        await engines.stop()
    _say("stopped")


def main() -> int:
    """Exit status 2 when the engines can't run as things stand."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".crossdock")
    try:
        asyncio.run(_serve(folder, sys.argv[2:]))
    except CrossdockError as error:
        _say(f"crossdock: {error.detail}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
