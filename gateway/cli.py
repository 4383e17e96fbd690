"""The command `crossdock`.

Every command exits 0 when it did what it says, 1 when what it checked is not so, 2 when it was called wrongly or cannot
run as things are; then one line on standard error says what to do.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec

from gateway.kernel.errors import CrossdockError
from gateway.settings import SETTINGS_VARIABLE, load_settings

_DEFAULT_FOLDER: Final = Path(".crossdock")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if not hasattr(given, "run"):
        parser.print_help()
        return 2
    try:
        status: int = given.run(given)
    except CrossdockError as error:
        sys.stderr.write(f"crossdock: {error.detail}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="crossdock", description="The API gateway and integration layer.")
    commands = parser.add_subparsers(metavar="COMMAND")

    up = _command(commands, "up", _up, "start engines, gateway and worker on this machine; Ctrl-C stops them")
    _folder(up)
    up.add_argument(
        "--demo", action="store_true", help="with a real Tryton, two warehouses, a partner, and a lively day"
    )
    up.add_argument("--quiet-day", action="store_true", help="with --demo: no traffic of its own")
    up.add_argument("--port", type=int, help="the gateway's port (default 8080, or a free one when that is taken)")
    up.add_argument("--workers", type=int, default=1, help="gateway processes (default 1)")

    play = _command(commands, "play", _play, "run a story once against what `up` started, or start it for that")
    _folder(play)
    play.add_argument("story", choices=["main-job", "outages"])
    play.add_argument("--json", action="store_true", help="print the evidence as JSON lines")
    play.add_argument("--seed", type=int, default=1, help="outages: what dies when, and who orders what (default 1)")
    play.add_argument("--orders", type=int, default=60, help="outages: how many orders are placed (default 60)")
    play.add_argument("--rounds", type=int, default=1, help="outages: how often everything dies (default once)")

    migrate = _command(commands, "migrate", _migrate, "bring the record's tables up to date, and do nothing else")
    _settings(migrate)

    for name, run, text in (
        ("gateway", _gateway, "serve the gateway (production; needs settings)"),
        ("worker", _worker, "run workflows, consumers and pollers (production; needs settings)"),
        ("console", _console, "serve the operations console (production; needs settings)"),
    ):
        _settings(_command(commands, name, run, text))

    partner = commands.add_parser("partner", help="add, list and disable partners").add_subparsers(metavar="VERB")
    _partner_commands(partner)

    contracts = commands.add_parser("contracts", help="the published OpenAPI documents").add_subparsers(metavar="VERB")
    export = _command(contracts, "export", _export, "write openapi/ from the code")
    export.add_argument("--folder", type=Path, default=Path("openapi"))
    export.add_argument("--check", action="store_true", help="write nothing; exit 1 when what is published differs")
    return parser


def _partner_commands(partner: Any) -> None:
    add = _command(partner, "add", _partner_add, "add a partner; its credentials are shown once")
    _settings(add)
    add.add_argument("name")
    add.add_argument("--channel", required=True)
    add.add_argument("--plan", default="standard")
    add.add_argument("--account", action="append", required=True, help="a customer code it orders for; repeatable")
    add.add_argument("--webhook-url")
    listing = _command(partner, "list", _partner_list, "all partners")
    _settings(listing)
    disable = _command(partner, "disable", _partner_disable, "refuse everything of a partner from now on")
    _settings(disable)
    disable.add_argument("partner")
    for command in (add, listing):
        command.add_argument("--json", action="store_true")


def _command(commands: Any, name: str, run: Callable[..., int], text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser


def _folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", type=Path, default=_DEFAULT_FOLDER, help="where data is kept (default .crossdock)")


def _settings(parser: argparse.ArgumentParser) -> None:
    text = f"the settings file (default: the one {SETTINGS_VARIABLE} names, else .crossdock/settings.toml)"
    parser.add_argument("--settings", type=Path, help=text)


def _progress(line: str) -> None:
    sys.stderr.write(f"  {line}\n")
    sys.stderr.flush()


def _run(coroutine: Coroutine[Any, Any, int]) -> int:
    """Run to the end; Ctrl-C and SIGTERM cancel it, so that what was started is stopped in order."""

    async def cancellable() -> int:
        task = asyncio.ensure_future(coroutine)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        try:
            return await task
        except asyncio.CancelledError:
            return 130

    return asyncio.run(cancellable())


def _settings_path(given: argparse.Namespace) -> Path | None:
    default = _DEFAULT_FOLDER / "settings.toml"
    return given.settings or (default if default.exists() else None)


# --- commands -----------------------------------------------------------------------------------------------------


def _up(given: argparse.Namespace) -> int:
    from gateway.plays.day import up  # noqa: PLC0415 - engines are an optional extra

    return _run(
        up(
            given.folder,
            demo=given.demo,
            lively=given.demo and not given.quiet_day,
            port=given.port,
            workers=given.workers,
            progress=_progress,
        )
    )


def _play(given: argparse.Namespace) -> int:
    if given.story == "outages":
        from gateway.plays.outages import Options, play_outages  # noqa: PLC0415

        options = Options(seed=given.seed, orders=given.orders, rounds=given.rounds)
        return _run(play_outages(given.folder, options, as_json=given.json, progress=_progress))
    from gateway.plays.main_job import play  # noqa: PLC0415

    return _run(play(given.folder, as_json=given.json, progress=_progress))


def _migrate(given: argparse.Namespace) -> int:
    from gateway.app import migrate_record  # noqa: PLC0415
    from gateway.kernel.secrets import resolve_secret  # noqa: PLC0415

    settings = load_settings(_settings_path(given))
    url = resolve_secret(settings.store.url, setting="store.url").reveal()
    installation = asyncio.run(migrate_record(url, progress=_progress))
    sys.stdout.write(f"up to date; installation {installation}\n")
    return 0


def _gateway(given: argparse.Namespace) -> int:
    return _become("gateway.asgi", "gateway", given)


def _console(given: argparse.Namespace) -> int:
    return _become("gateway.asgi", "console", given)


def _worker(given: argparse.Namespace) -> int:
    return _become("gateway.worker", "worker", given)


def _become(module: str, role: str, given: argparse.Namespace) -> NoReturn:
    """Turn this process into a service: signals and the exit status are then the service's own."""
    path = _settings_path(given)
    load_settings(path)
    arguments = [sys.executable, "-m", module, role, *(["--settings", str(path)] if path is not None else [])]
    sys.stdout.flush()
    os.execv(sys.executable, arguments)  # noqa: S606 - our own interpreter and module


def _partner_add(given: argparse.Namespace) -> int:
    from gateway.app import administer  # noqa: PLC0415
    from gateway.identity.partners import add_partner  # noqa: PLC0415

    settings = load_settings(_settings_path(given))
    made = asyncio.run(
        administer(
            settings,
            lambda connection, ring: add_partner(
                connection,
                ring,
                tenant=settings.tenant,
                name=given.name,
                channel=given.channel,
                plan=given.plan,
                accounts=given.account,
                webhook_url=given.webhook_url,
            ),
        )
    )
    shown = {name: getattr(made, name) for name in made.__struct_fields__}
    if given.json:
        sys.stdout.write(msgspec.json.encode(shown).decode() + "\n")
    else:
        sys.stdout.write("Keep these now; they are not shown again.\n")
        sys.stdout.writelines(f"  {name:<15} {value}\n" for name, value in shown.items() if value is not None)
        sys.stdout.write(
            f"Try it:\n  curl -H 'X-Api-Key: {made.api_key}' '{settings.http.public_url}/storefront/v1/items?limit=3'\n"
        )
    return 0


def _partner_list(given: argparse.Namespace) -> int:
    from gateway.app import administer  # noqa: PLC0415
    from gateway.identity.partners import list_partners  # noqa: PLC0415

    settings = load_settings(_settings_path(given))
    found = asyncio.run(administer(settings, lambda c, _: list_partners(c, tenant=settings.tenant)))
    if given.json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return 0
    for partner in found:
        state = "disabled" if partner.disabled_at else "active"
        accounts = ", ".join(sorted(partner.accounts))
        sys.stdout.write(f"{partner.partner_id}  {state:<8}  {partner.channel:<10} {partner.name}  ({accounts})\n")
    return 0


def _partner_disable(given: argparse.Namespace) -> int:
    from gateway.app import administer  # noqa: PLC0415
    from gateway.identity.partners import disable_partner  # noqa: PLC0415

    settings = load_settings(_settings_path(given))
    asyncio.run(administer(settings, lambda c, _: disable_partner(c, tenant=settings.tenant, partner=given.partner)))
    sys.stdout.write(f"{given.partner} is disabled; every worker refuses it within five seconds\n")
    return 0


def _export(given: argparse.Namespace) -> int:
    from gateway.app import published_apis  # noqa: PLC0415
    from gateway.contracts.export import differences, export  # noqa: PLC0415

    apis = published_apis()
    if given.check:
        found = differences(apis, given.folder)
        for diff in found:
            sys.stdout.write(diff + "\n")
        if found:
            sys.stderr.write("crossdock: what is published differs from the code: run `crossdock contracts export`\n")
        return 1 if found else 0
    changed = export(apis, given.folder)
    with suppress(BrokenPipeError):
        sys.stdout.writelines(f"wrote {path}\n" for path in changed)
        sys.stdout.write(f"{len(apis)} contracts, {len(changed)} changed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
