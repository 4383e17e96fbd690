"""The command `crossdock replay`: one consumer goes through a stretch of the log once more."""

from __future__ import annotations

import argparse
from typing import Any

from gateway.cli_arguments import Command, Options


def add_replay_command(commands: Any, command: Command, options: Options) -> None:
    """Add it to `commands`; `command` makes one, `options` adds what every command on the record takes."""
    text = "have a consumer of the log go through a stretch of it once more, up to where it stands"
    replay = command(commands, "replay", _replay, text)
    replay.add_argument("--consumer", metavar="NAME", help="who; `crossdock replay` alone lists them")
    replay.add_argument("--from", metavar="INSTANT", dest="begin", help="recorded then or later: 2026-11-22T10:00:00Z")
    replay.add_argument("--to", metavar="INSTANT", dest="end", help="recorded before (default: now)")
    replay.add_argument("--filter", metavar="type=NAME|about=ID", action="append", default=[],
                        help="only these: event types (any of them), one aggregate")  # fmt: skip
    replay.add_argument("--again", action="store_true", help="also what it has handled before; left out: only what "
                        "it set aside or a person closed unhandled")  # fmt: skip
    replay.add_argument("--dry-run", action="store_true", help="only count what would happen")
    replay.add_argument("--reason", default="", help="why: the audit trail keeps it")
    replay.add_argument("--no-wait", action="store_true", help="ask for it and leave")
    replay.add_argument("--show", metavar="ID", help="how far a replay is")
    replay.add_argument("--cancel", metavar="ID", help="end a replay")
    options(replay)


def _replay(given: argparse.Namespace) -> int:
    from gateway import repeating  # noqa: PLC0415 - `--help` and the services load less

    settings = given.load(given)
    if given.show or given.cancel:
        return repeating.look(settings, given.show or given.cancel, end=bool(given.cancel), as_json=given.json)
    asked = repeating.Asked(
        consumer=given.consumer, begin=given.begin, end=given.end, filters=tuple(given.filter), again=given.again,
        dry=given.dry_run, reason=given.reason, wait=not given.no_wait,
    )  # fmt: skip
    return repeating.replay(settings, asked, as_json=given.json)
