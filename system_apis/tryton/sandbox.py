"""A real Tryton 8.2 server in a process and an environment of its own, with the demo distributor in SQLite.

    python -m system_apis.tryton.sandbox --folder .crossdock/tryton

prints the URL and serves until Ctrl-C. The first start on a machine installs Tryton and builds the database (about a
minute); each later folder starts from a copy of that template in a few seconds. The data of a folder is kept between
starts. Tryton is GPL-3 software: it is run and spoken to, never imported.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from gateway.canonical.capabilities import Call
from gateway.engines.process import Child, log_tail, spawn
from gateway.kernel.errors import CrossdockError, Misconfigured
from gateway.kernel.secrets import Secret
from gateway.outbound.door import Outbound
from gateway.outbound.limits import SystemLimits
from system_apis.tryton import sandbox_build, sandbox_data
from system_apis.tryton.client import Client
from system_apis.tryton.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

_START_S: Final = 60.0
_STOP_S: Final = 5.0
_BUILD_S: Final = 600.0


class TrytonSandbox:
    """One Tryton server with its own copy of the demo data under `folder`, made from what `cache` holds.

    `start` may be called again after `stop` or `kill`; port and data stay the same. It is started from the main
    thread: when that ends, however it ends, the kernel ends the server.
    """

    def __init__(
        self, cache: Path, folder: Path, *, port: int | None = None, progress: Callable[[str], None] | None = None
    ) -> None:
        self._cache = cache.absolute()
        self._folder = folder.absolute()
        self._port = port
        self._progress = progress or (lambda _: None)
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """Where the server listens; ends before the database name."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def database(self) -> str:
        """Its name, in the path of every request."""
        return sandbox_build.DATABASE

    @property
    def database_file(self) -> Path:
        """The SQLite file behind it."""
        return self._folder / f"{self.database}.sqlite"

    @property
    def user(self) -> str:
        """The integration user, which has the groups an integration needs and no more."""
        return sandbox_data.INTEGRATION_USER

    @property
    def password(self) -> Secret:
        """Of the integration user."""
        return Secret(self._passwords().integration)

    @property
    def admin_password(self) -> Secret:
        """Of the user ``admin``, for checkers that read more than the integration may."""
        return Secret(self._passwords().admin)

    @property
    def pid(self) -> int | None:
        """Of the running server."""
        child = self._child
        return child.identity.pid if child is not None and child.exit_status is None else None

    def settings(self) -> Settings:
        """What an adapter needs to speak to this server; the password stays in a file of mode 0600."""
        return Settings(
            base_url=self.url,
            database=self.database,
            user=self.user,
            password=f"file:{self._folder / 'integration-password'}",
            units=sandbox_data.UNITS,
            settle_time_s=2.0,
        )

    async def start(self) -> str:
        """Start the server, building what is missing; returns its URL once it answers."""
        if self.pid is not None:
            return self.url
        python = await self._prepare()
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._port is None:
            self._port = self._kept_port()
        await self._serve(python, self._folder)
        return self.url

    async def stop(self) -> None:
        """Ask the server to end, and make sure that it did."""
        if self._child is not None:
            await self._child.end([(signal.SIGTERM, _STOP_S)])
            self._child = None

    async def kill(self) -> None:
        """SIGKILL, as a crash would."""
        if self._child is not None:
            await self._child.kill()
            self._child = None

    async def restart(self) -> str:
        """Stop, then start with the same data on the same port."""
        await self.stop()
        return await self.start()

    async def _prepare(self) -> Path:
        async with sandbox_build.locked(self._cache, self._progress):
            python = await sandbox_build.environment(self._cache, self._progress)
            if not self.database_file.exists():
                template = sandbox_build.known_template(self._cache) or await self._build(python)
                self._take(template, self.database_file)
        return python

    def _take(self, template: sandbox_build.Template, database: Path) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for name, content in (
            ("passwords.json", msgspec.json.encode(template.passwords)),
            ("integration-password", template.passwords.integration.encode()),
        ):
            path = self._folder / name
            path.touch(mode=0o600)
            path.write_bytes(content)
        partial = database.with_suffix(".partial")
        shutil.copyfile(template.database, partial)
        partial.replace(database)

    async def _build(self, python: Path) -> sandbox_build.Template:
        work = self._cache / "building"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        passwords = sandbox_build.new_passwords()
        self._progress("creating Tryton's database (about half a minute, once)")
        await sandbox_build.create_schema(python, work, passwords)
        builder = TrytonSandbox(self._cache, work, port=_free_port())
        await builder._serve(python, work)
        try:
            await self._fill(builder.url, passwords)
        finally:
            await builder.stop()
        template = sandbox_build.keep_template(work, self._cache, passwords)
        shutil.rmtree(work, ignore_errors=True)
        return template

    async def _fill(self, url: str, passwords: sandbox_build.Passwords) -> None:
        async with Outbound() as outbound:
            session = outbound.session("tryton-build", url, SystemLimits(timeout=_BUILD_S))
            client = Client(session, database=self.database, user="admin", password=Secret(passwords.admin))
            call = Call(tenant="demo", correlation_id="tryton-build", deadline=time.monotonic() + _BUILD_S)
            await sandbox_data.fill(client, call, password=passwords.integration, progress=self._progress)

    async def _serve(self, python: Path, folder: Path) -> None:
        _refuse_taken(self._port or 0)
        config = sandbox_build.write_config(folder, self._port or 0)
        log = folder / "trytond.log"
        before = log.stat().st_size if log.exists() else 0
        command = [str(python), "-m", "trytond.cli", "-c", str(config), "-d", sandbox_build.DATABASE]
        self._child = spawn(command, folder=folder, log=log, account=None, dies_by=signal.SIGKILL)
        end = time.monotonic() + _START_S
        while not await _listens(self._port or 0):
            if self._child.exit_status is not None or time.monotonic() > end:
                await self.kill()
                raise Misconfigured(
                    f"trytond did not start on port {self._port}; its log {log} ends with:\n{log_tail(log, before)}",
                    code="tryton.not_started",
                )
            await asyncio.sleep(0.05)

    def _kept_port(self) -> int:
        path = self._folder / "port"
        if not path.exists():
            path.write_text(str(_free_port()), encoding="ascii")
        return int(path.read_text(encoding="ascii"))

    def _passwords(self) -> sandbox_build.Passwords:
        return msgspec.json.decode((self._folder / "passwords.json").read_bytes(), type=sandbox_build.Passwords)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _refuse_taken(port: int) -> None:
    try:
        with socket.create_server(("127.0.0.1", port)):
            pass
    except OSError as error:
        raise Misconfigured(
            f"port {port} cannot be used for Tryton ({error.strerror}): stop what listens there, or choose another",
            code="tryton.port_taken",
        ) from None


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def _serve_until_stopped(folder: Path, cache: Path, port: int | None) -> None:
    def tell(line: str) -> None:
        sys.stderr.write(f"{line}\n")

    sandbox = TrytonSandbox(cache, folder, port=port, progress=tell)
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    url = await sandbox.start()
    password = sandbox.settings().password
    sys.stdout.write(f"{url} database={sandbox.database} user={sandbox.user} password={password}\n")
    sys.stdout.flush()
    await stopped.wait()
    await sandbox.stop()


def main() -> int:
    """Serve one sandbox until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m system_apis.tryton.sandbox", description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="where this instance keeps its data")
    parser.add_argument("--cache", type=Path, default=Path(".crossdock/cache/tryton"), help="what all instances share")
    parser.add_argument("--port", type=int, default=None, help="default: a free one, then the same again")
    options = parser.parse_args()
    try:
        asyncio.run(_serve_until_stopped(options.folder, options.cache, options.port))
    except CrossdockError as error:
        sys.stderr.write(f"{error.detail}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
