"""The command `crossdock`.

Every command exits 0 when it did what it says, 1 when what it checked is not so, 2 when it was called wrongly or cannot
run as things are; then one line on standard error says what to do. Interrupted commands exit 130, except that
Ctrl-C or SIGTERM is how `crossdock up` ends once it is up: that exits 0. With ``--json`` standard output is JSON only.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NoReturn

from gateway.cli_arguments import COUNT, Arguments, add_group, number_from
from gateway.cli_exceptions import add_exception_commands
from gateway.cli_feed import add_feed_command
from gateway.cli_history import add_history_command
from gateway.cli_hold_rules import add_hold_rule_commands
from gateway.cli_holders import add_holder_commands
from gateway.cli_imports import add_import_command
from gateway.cli_masters import add_master_commands
from gateway.cli_migrate import add_migrate_commands
from gateway.cli_partners import add_partner_commands
from gateway.cli_plays import add_play_command
from gateway.cli_reconcile import add_reconcile_command
from gateway.cli_replay import add_replay_command
from gateway.cli_suppliers import add_supplier_commands
from gateway.cli_users import add_user_commands
from gateway.cli_workers import add_worker_commands
from gateway.kernel.errors import CrossdockError, Misconfigured
from gateway.kernel.form import form_of_door
from gateway.settings import SETTINGS_VARIABLE, load_settings

_DEFAULT_FOLDER: Final = Path(".crossdock")
_INTERRUPTED: Final = 130
_HIGHEST_PORT: Final = 65_534  # the console takes the next one


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = command_parser()
    given = parser.parse_args(arguments)
    if not hasattr(given, "run"):
        given.group.print_help()
        return 2
    try:
        status: int = given.run(given)
    except CrossdockError as error:
        return _refuse(error.detail)
    except OSError as error:
        return _refuse(f"{error.filename or given.command}: {error.strerror or error}")
    except KeyboardInterrupt:
        return _INTERRUPTED
    return status


def _refuse(advice: str) -> int:
    # A reader that went away (`crossdock up | head`) is no trouble of ours.
    with suppress(BrokenPipeError):
        sys.stderr.write(f"crossdock: {advice}\n")
    return 2


def _described() -> argparse.ArgumentParser:
    parser = Arguments(prog="crossdock", description="The API gateway and integration layer.")
    about = f"crossdock {version('crossdock')}, its door {form_of_door()}"
    parser.add_argument("--version", action="version", version=about)
    return parser


def command_parser() -> argparse.ArgumentParser:
    """What can be typed; `run` in what it parses does it."""
    parser = _described()
    commands = parser.add_subparsers(metavar="COMMAND")

    up = _command(commands, "up", _up, "start engines, gateway and worker on this machine; Ctrl-C stops them")
    _folder(up)
    up.add_argument(
        "--demo", action="store_true", help="with a real Tryton, two warehouses, a partner, and a lively day"
    )
    up.add_argument("--quiet-day", action="store_true", help="with --demo: no traffic of its own")
    up.add_argument(
        "--port",
        type=number_from(1, _HIGHEST_PORT),
        help="the gateway's port (default 8080, or a free one when that is taken)",
    )
    up.add_argument("--workers", type=COUNT, default=1, help="gateway processes (default 1)")
    _json(up, "print one line of JSON with the addresses when it is ready")

    add_play_command(commands, _command, _for_plays, _run, _engines_at_hand)

    migrate = _command(commands, "migrate", _migrate, "bring the record's tables up to date, and do nothing else")
    _settings(migrate)
    _json(migrate, "print the installation's id as JSON")
    add_migrate_commands(migrate, _command, _on_record_below)
    epoch = _command(commands, "begin-epoch", _begin_epoch, "begin a new log epoch, after restoring a backup")
    _settings(epoch)
    _json(epoch)

    _service_commands(commands)

    add_partner_commands(commands, _command, _on_record)
    add_user_commands(commands, _command, _on_record)
    for add_more in (add_supplier_commands, add_holder_commands, add_import_command, add_master_commands):
        add_more(commands, _command, _on_record)

    _api_commands(commands)

    explain = _command(commands, "explain", _explain, "why a request was answered as it was, and what it led to")
    explain.add_argument("request_id", help="X-Request-Id of the answer; every problem repeats it as request_id")
    _settings(explain)
    _json(explain)

    for add in (add_reconcile_command, add_exception_commands, add_replay_command, add_feed_command):
        add(commands, _command, _on_record)
    for add_last in (add_history_command, add_worker_commands, add_hold_rule_commands):
        add_last(commands, _command, _on_record)

    _config_commands(add_group(commands, "config", "the configuration: what changes while workers run"))

    contracts = add_group(commands, "contracts", "the published OpenAPI documents")
    export = _command(contracts, "export", _export, "write openapi/ from the code")
    export.add_argument("--folder", type=Path, default=Path("openapi"), help="where it is published (default openapi)")
    export.add_argument("--check", action="store_true", help="write nothing; exit 1 when what is published differs")
    text = "an installation's settings: with the APIs that it wraps and its dates, into a folder of its own"
    export.add_argument("--settings", type=Path, help=text)
    _json(export)
    diff = _command(contracts, "diff", _diff, "what the code changes for consumers of what is published")
    older = diff.add_mutually_exclusive_group()
    older.add_argument("--base", type=Path, help="the published documents to compare with (default openapi)")
    older.add_argument("--against", metavar="URL", help="compare with what the gateway at this address publishes")
    diff.add_argument("--folder", type=Path, help="compare the documents of this folder, not the code")
    _json(diff)
    return parser


def _service_commands(commands: Any) -> None:
    for name, run, text in (
        ("gateway", _gateway, "serve the gateway (production; needs settings)"),
        ("worker", _worker, "run workflows, consumers and pollers (production; needs settings)"),
        ("console", _console, "serve the operations console (production; needs settings)"),
    ):
        service = _command(commands, name, run, text)
        _settings(service)
        if name == "gateway":
            service.add_argument("verb", nargs="?", choices=["restart"], help="restart: replace the workers that serve")
            service.add_argument("--wait", type=COUNT, default=300, help="restart: seconds to wait (default 300)")
            _json(service, "restart: print what became of it as JSON")


def _api_commands(commands: Any) -> None:
    apis = _command(commands, "apis", _apis, "every API version: class, owners, service level, dates")
    _settings(apis)
    _json(apis)
    usage = _command(
        apis.add_subparsers(metavar="VERB"), "usage", _usage, "who calls which version, and since when not"
    )
    usage.add_argument("--days", type=COUNT, default=30, help="how many days back, today included (default 30)")
    usage.add_argument("--deprecated", action="store_true", help="only versions that will end")
    _on_record_below(usage)


def _config_commands(config: Any) -> None:
    show = _command(config, "show", _config, "the configuration that holds, as TOML to edit and apply")
    show.add_argument("version", type=number_from(0), nargs="?", help="an older one")
    diff = _command(config, "diff", _config, "what a file would change: which limit of whom, from what to what")
    apply = _command(config, "apply", _config, "make a file the configuration; waits until every worker holds it")
    for command in (diff, apply):
        command.add_argument("file", type=Path, help="TOML; what it leaves out has its default")
    rollback = _command(config, "rollback", _config, "make an older version hold again, as a new one")
    rollback.add_argument(
        "version", type=number_from(0), nargs="?", help="default: the one before; 0 is what the settings say"
    )
    for command in (apply, rollback):
        command.add_argument("--note", default="", help="why: kept in the history")
        command.add_argument("--wait", type=COUNT, default=30, help="seconds to wait for the workers (default 30)")
    history = _command(config, "history", _config, "who applied what when, and which worker holds which version")
    history.add_argument("--count", type=COUNT, default=20, help="the latest so many (default 20)")
    for verb, command in (
        ("show", show), ("diff", diff), ("apply", apply), ("rollback", rollback), ("history", history)
    ):  # fmt: skip
        command.set_defaults(verb=verb)
        _settings(command)
        _json(command)


def _command(commands: Any, name: str, run: Callable[..., int], text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run, command=name)
    return parser


def _folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", type=Path, default=_DEFAULT_FOLDER, help="where data is kept (default .crossdock)")


def _settings(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    text = f"the settings file (default: the one {SETTINGS_VARIABLE} names, else .crossdock/settings.toml)"
    parser.add_argument("--settings", type=Path, default=default, help=text)


def _on_record(parser: argparse.ArgumentParser) -> None:
    """What every command of administration takes; `load` in what it parses reads the settings."""
    _settings(parser)
    _json(parser)
    parser.set_defaults(load=lambda given: load_settings(_settings_path(given)))


def _on_record_below(parser: argparse.ArgumentParser) -> None:
    """As `_on_record`, for a verb of a command that takes the same: what stood before the verb holds."""
    _settings(parser, argparse.SUPPRESS)
    _json(parser, default=argparse.SUPPRESS)
    parser.set_defaults(load=lambda given: load_settings(_settings_path(given)))


def _for_plays(parser: argparse.ArgumentParser) -> None:
    _folder(parser)
    _json(parser, "print the evidence as JSON lines")


def _json(parser: argparse.ArgumentParser, text: str = "print JSON", *, default: Any = False) -> None:
    parser.add_argument("--json", action="store_true", default=default, help=text)


def _run(coroutine: Coroutine[Any, Any, int]) -> int:
    """Run to the end; Ctrl-C and SIGTERM cancel it, so that what was started is stopped in order."""

    async def cancellable() -> int:
        task = asyncio.ensure_future(coroutine)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        try:
            return await task
        except asyncio.CancelledError:
            return _INTERRUPTED

    return asyncio.run(cancellable())


def _settings_path(given: argparse.Namespace) -> Path | None:
    default = _DEFAULT_FOLDER / "settings.toml"
    if given.settings is None and not os.environ.get(SETTINGS_VARIABLE) and default.exists():
        return default
    path: Path | None = given.settings
    return path


# --- commands -----------------------------------------------------------------------------------------------------


@contextmanager
def _engines_at_hand() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"this installation has no engines of its own ({error.name} is missing): install 'crossdock[engines]', or "
            "run gateway, worker and console against yours"
        ) from error


def _up(given: argparse.Namespace) -> int:
    from gateway.plays.progress import Progress  # noqa: PLC0415

    with _engines_at_hand():
        from gateway.plays.day import Options, up  # noqa: PLC0415
    options = Options(
        demo=given.demo,
        lively=given.demo and not given.quiet_day,
        port=given.port,
        workers=given.workers,
        as_json=given.json,
    )
    with Progress() as progress:
        return _run(up(given.folder, options, progress=progress))


def _migrate(given: argparse.Namespace) -> int:
    from gateway import administration  # noqa: PLC0415 - `--help` and the services load less
    from gateway.plays.progress import Progress  # noqa: PLC0415

    with Progress() as progress:
        return administration.migrate(load_settings(_settings_path(given)), as_json=given.json, progress=progress)


def _begin_epoch(given: argparse.Namespace) -> int:
    from gateway import administration  # noqa: PLC0415 - `--help` and the services load less

    return administration.begin_epoch(load_settings(_settings_path(given)), as_json=given.json)


def _gateway(given: argparse.Namespace) -> int:
    if given.verb == "restart":
        from gateway.plays.progress import Progress  # noqa: PLC0415
        from gateway.restarting import restart  # noqa: PLC0415 - the services load less

        with Progress() as progress:
            settings = load_settings(_settings_path(given))
            return restart(settings, seconds=given.wait, as_json=given.json, progress=progress)
    return _become("gateway.asgi", "gateway", given)


def _console(given: argparse.Namespace) -> int:
    return _become("gateway.asgi", "console", given)


def _worker(given: argparse.Namespace) -> int:
    return _become("gateway.worker", "worker", given)


def _become(module: str, role: str, given: argparse.Namespace) -> NoReturn:
    """Turn this process into a service: signals and the exit status are then the service's own."""
    from gateway import administration  # noqa: PLC0415

    path = _settings_path(given)
    administration.check_record(load_settings(path))
    arguments = [sys.executable, "-m", module, role, *(["--settings", str(path)] if path is not None else [])]
    sys.stdout.flush()
    os.execv(sys.executable, arguments)  # noqa: S606 - our own interpreter and module


def _apis(given: argparse.Namespace) -> int:
    from gateway import governance  # noqa: PLC0415 - `--help` and the services load less

    path = _settings_path(given)
    named = path is not None or os.environ.get(SETTINGS_VARIABLE)
    return governance.show_apis(load_settings(path) if named else None, as_json=given.json)


def _usage(given: argparse.Namespace) -> int:
    from gateway import governance  # noqa: PLC0415 - `--help` and the services load less

    settings = load_settings(_settings_path(given))
    return governance.show_usage(settings, days=given.days, deprecated=given.deprecated, as_json=given.json)


def _explain(given: argparse.Namespace) -> int:
    from gateway import explaining  # noqa: PLC0415 - `--help` and the services load less

    settings = load_settings(_settings_path(given))
    return explaining.show_explanation(settings, given.request_id, as_json=given.json)


def _config(given: argparse.Namespace) -> int:
    from gateway import configuring  # noqa: PLC0415 - `--help` and the services load less
    from gateway.plays.progress import Progress  # noqa: PLC0415

    settings = load_settings(_settings_path(given))
    if given.verb == "show":
        return configuring.show(settings, given.version, as_json=given.json)
    if given.verb == "diff":
        return configuring.diff(settings, given.file, as_json=given.json)
    if given.verb == "history":
        return configuring.history(settings, given.count, as_json=given.json)
    with Progress() as progress:
        told: Any = {"note": given.note, "seconds": given.wait, "as_json": given.json, "progress": progress}
        if given.verb == "apply":
            return configuring.apply(settings, given.file, **told)
        return configuring.rollback(settings, given.version, **told)


def _diff(given: argparse.Namespace) -> int:
    from gateway import contract_changes  # noqa: PLC0415 - `--help` and the services load less

    return contract_changes.show_changes(given.base, given.against, given.folder, as_json=given.json)


def _export(given: argparse.Namespace) -> int:
    from gateway import administration  # noqa: PLC0415 - `--help` and the services load less

    settings = None if given.settings is None else load_settings(given.settings)
    if given.check:
        return administration.check_contracts(given.folder, settings=settings, as_json=given.json)
    return administration.export_contracts(given.folder, settings=settings, as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
