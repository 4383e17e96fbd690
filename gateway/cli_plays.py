"""The command `crossdock play`: a story, run once, whose checker imports nothing of ours."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, Final

from gateway.cli_arguments import COUNT, Command, Options, number_from

Run = Callable[[Coroutine[Any, Any, int]], int]

STORIES: Final = ("main-job", "outages", "chaos", "three-regions", "promotion", "erp-migration")


def add_play_command(
    commands: Any, command: Command, options: Options, run: Run, engines: Callable[[], AbstractContextManager[None]]
) -> None:
    """Add it to `commands`; `options` adds folder and JSON, `run` runs a coroutine, `engines` tells what is missing."""
    play = command(
        commands,
        "play",
        lambda given: run(_told(given, engines)),
        "run a story once against what `up` started, or start it for that",
    )
    play.add_argument("story", choices=STORIES, help="docs/engineer.md tells what happens in each")
    options(play)
    play.add_argument(
        "--seed", type=number_from(0), default=1, help="outages, chaos, three-regions: of what happens (default 1)"
    )
    play.add_argument("--orders", type=COUNT, help="outages, chaos: orders placed at Tryton (default 60, 1000)")
    play.add_argument("--other-orders", type=COUNT, default=10_000, help="chaos: at the sandboxes (default 10000)")
    play.add_argument(
        "--rounds", type=COUNT, help="outages, chaos: how often everything dies (default 1, 8; chaos: and 4 after)"
    )


async def _told(given: argparse.Namespace, engines: Callable[[], AbstractContextManager[None]]) -> int:
    from gateway.plays.progress import Progress  # noqa: PLC0415 - `--help` and the services load less

    with engines():
        story = _story(given)
    with Progress() as progress:
        told: int = await story(given.folder.absolute(), as_json=given.json, progress=progress)
        return told


def _story(given: argparse.Namespace) -> Any:
    """What tells it; called with a folder, `as_json` and `progress`."""
    from gateway.plays.erp_migration import play_erp_migration  # noqa: PLC0415
    from gateway.plays.main_job import play  # noqa: PLC0415
    from gateway.plays.outages import Options as Outages  # noqa: PLC0415
    from gateway.plays.outages import play_outages  # noqa: PLC0415
    from gateway.plays.promotion import play_promotion  # noqa: PLC0415
    from gateway.plays.three_regions import play_three_regions  # noqa: PLC0415

    outages = Outages(seed=given.seed, orders=given.orders or 60, rounds=given.rounds or 1)
    chaos = Outages(
        seed=given.seed,
        orders=given.orders or 1_000,
        other_orders=given.other_orders,
        rounds=given.rounds or 8,
        late_rounds=given.rounds or 4,
        buyers=24,
        limit=3_600.0,
    )
    stories: dict[str, Any] = {
        "main-job": play,
        "outages": lambda folder, **more: play_outages(folder, outages, **more),
        "chaos": lambda folder, **more: play_outages(folder, chaos, **more),
        "three-regions": lambda folder, **more: play_three_regions(folder, given.seed, **more),
        "promotion": play_promotion,
        "erp-migration": play_erp_migration,
    }
    return stories[given.story]
