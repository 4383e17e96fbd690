"""Builds what the sandbox runs: Tryton's own virtual environment, and the template of the demo database.

Both live in a cache folder under names that hold a hash of what made them, so that a change builds anew and two
versions of Crossdock share a machine. Building takes about a minute, once, under a lock that other processes wait for.

Only Tryton's schema is made by its ``trytond-admin``; all business data goes in over JSON-RPC (`sandbox_data.py`).
Nothing of Tryton is imported: it is GPL-3 software in a process and an environment of its own.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import secrets
import shutil
import sqlite3
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from gateway.engines.process import log_tail, run
from gateway.kernel.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    Progress = Callable[[str], None]

DATABASE: Final = "crossdock"
MODULES: Final = ("account_credit_limit", "account_invoice_stock", "purchase", "sale", "stock")
_HERE: Final = Path(__file__).parent
_LOCK_FILE: Final = _HERE / "requirements.lock"
_MADE_BY: Final = (_LOCK_FILE, _HERE / "sandbox_build.py", _HERE / "sandbox_data.py")


class Passwords(Struct, frozen=True):
    """Of the administrator and of the integration user, random per template."""

    admin: str
    integration: str


class Template(Struct, frozen=True):
    """A finished demo database and who may log into it."""

    database: Path
    passwords: Passwords


def _hash_of(paths: Sequence[Path], *more: str) -> str:
    digest = hashlib.sha256()
    for part in [*(path.read_bytes() for path in paths), *(text.encode() for text in more)]:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:16]


@asynccontextmanager
async def locked(cache: Path, progress: Progress) -> AsyncIterator[None]:
    """One builder at a time per cache folder, across processes; released by the kernel when the holder dies."""
    cache.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - a moment, in a tool
    number = os.open(cache / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    told = False
    try:
        while True:
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    progress("waiting for another process that prepares Tryton")
                told = True
                await asyncio.sleep(0.1)
        yield
    finally:
        os.close(number)


async def environment(cache: Path, progress: Progress) -> Path:
    """The Python of Tryton's virtual environment, made from the hashed lock when it is missing."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache / f"env-{_hash_of([_LOCK_FILE], version, sys.platform)}"
    python = folder / "bin" / "python"
    if (folder / "complete").exists() and python.exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    progress("making Tryton's own environment")
    await _run_inherited([sys.executable, "-m", "venv", str(folder)], "python -m venv failed: is venv installed?")
    progress("installing Tryton 8.2 from the package index")
    options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps", "--only-binary", ":all:"]
    await _run_inherited(
        [str(python), "-m", "pip", "install", *options, "-r", str(_LOCK_FILE)],
        "pip could not install Tryton: can the package index be reached?",
    )
    (folder / "complete").touch()
    return python


async def _run_inherited(command: Sequence[str], advice: str) -> None:
    # pip finds its index, proxy and cache in the environment.
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise Misconfigured(f"{advice}\n{output.decode(errors='replace')[-1500:]}", code="tryton.environment")


def template_path(cache: Path) -> Path:
    """Where the template of today's make-up stands. Its fiscal years depend on the year."""
    return cache / f"template-{_hash_of(_MADE_BY, *MODULES, str(datetime.now(UTC).year))}.sqlite"


def known_template(cache: Path) -> Template | None:
    """The finished template, if there is one."""
    path = template_path(cache)
    try:
        passwords = msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=Passwords)
    except (OSError, msgspec.DecodeError):
        return None
    return Template(path, passwords) if path.exists() else None


def new_passwords() -> Passwords:
    """Two random ones."""
    return Passwords(admin=secrets.token_urlsafe(18), integration=secrets.token_urlsafe(18))


def write_config(folder: Path, port: int) -> Path:
    """Tryton's configuration for a database file in `folder`, reachable from this machine only."""
    path = folder / "trytond.conf"
    path.write_text(
        f"[database]\nuri = sqlite://\npath = {folder}\nretry = 5\n"
        f"[web]\nlisten = 127.0.0.1:{port}\nroot = {folder / 'no-web-client'}\n"
        "[session]\nmax_attempt = 1000\nmax_attempt_ip_network = 10000\n"
        "[attachment]\nfilestore = False\n",
        encoding="utf-8",
    )
    return path


async def create_schema(python: Path, folder: Path, passwords: Passwords) -> None:
    """An empty Tryton database with `MODULES` in `folder`, and its administrator."""
    (folder / f"{DATABASE}.sqlite").touch()
    password_file = folder / "admin-password"
    password_file.touch(mode=0o600)
    password_file.write_text(passwords.admin, encoding="utf-8")
    log = folder / "trytond-admin.log"
    command = ["/usr/bin/env", f"TRYTONPASSFILE={password_file}", str(python), "-m", "trytond.cli.admin"]
    command += ["-c", str(write_config(folder, 0)), "-d", DATABASE, "--email", "admin@example.com"]
    status = await run([*command, "-u", *MODULES, "--activate-dependencies"], folder=folder, log=log, account=None)
    password_file.unlink()
    if status:
        raise Misconfigured(f"trytond-admin failed:\n{log_tail(log)}", code="tryton.schema")


def keep_template(folder: Path, cache: Path, passwords: Passwords) -> Template:
    """Move the finished database of `folder` into the cache, whole (no write-ahead log beside it)."""
    path = template_path(cache)
    source = folder / f"{DATABASE}.sqlite"
    with sqlite3.connect(source) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    secret = path.with_suffix(".json")
    secret.touch(mode=0o600)
    secret.write_bytes(msgspec.json.encode(passwords))
    source.replace(path)
    return Template(path, passwords)
