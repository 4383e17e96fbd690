"""The folder of the engines: who uses it now, and what has to be the same at the next start.

.crossdock/
lock              held by the supervisor at work; its pid inside
state.json        ports, the processes that were started, short notes of the engines
secrets/          passwords, one a file, mode 0600
logs/             one file per engine
postgres/ nats/ valkey/   data, owned by the account the engines run as
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from gateway.engines.ports import free_port
from gateway.engines.process import Account, Identity
from gateway.kernel.errors import Misconfigured
from gateway.kernel.secrets import Secret

_held: set[int] = set()


class Started(msgspec.Struct, frozen=True):
    """A process that a supervisor started, as `process.Identity` tells it."""

    pid: int
    mark: str


class _Contents(msgspec.Struct):
    ports: dict[str, int] = msgspec.field(default_factory=dict)
    processes: dict[str, Started] = msgspec.field(default_factory=dict)
    notes: dict[str, str] = msgspec.field(default_factory=dict)


def _close_held() -> None:
    for number in _held:
        os.close(number)
    _held.clear()


# A forked child shares the lock: it would hold it after our death.
os.register_at_fork(after_in_child=_close_held)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Misconfigured(
            f"cannot write to {error.filename or folder}: {error.strerror}. Make room, or give this user the folder, "
            "or choose another folder for the engines",
            code="engines.folder_not_writable",
        ) from error


class Folder:
    """The folder on disk. Everything we write in it is private to its owner, also when root writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self._lock: int | None = None
        self._contents = _Contents()

    # --- the lock --------------------------------------------------------------------------------------------------

    def claim(self) -> None:
        """Makes the folder ours until `release`. Raises `Misconfigured`, naming the holder, when it is another's."""
        if self._lock is not None:
            return
        with _explained(self.path):
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            number = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(number, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(number)
            raise self._refusal(error, holder) from error
        _held.add(number)
        self._lock = number
        try:
            with _explained(self.path):
                os.ftruncate(number, 0)
                os.pwrite(number, f"{os.getpid()}\n".encode(), 0)
                self._own(self.path / "lock")
                self._load()
        except BaseException:
            self.release()
            raise

    def _refusal(self, error: OSError, holder: str) -> Misconfigured:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return Misconfigured(
                f"{self.path} is in use by another crossdock, process {holder}: stop that one (kill {holder}), "
                "or choose another folder (--folder)",
                code="engines.locked",
            )
        return Misconfigured(
            f"the file system of {self.path} cannot lock files ({error.strerror}): choose a folder on a local disk",
            code="engines.no_locks",
        )

    def release(self) -> None:
        """Gives the folder up."""
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            _held.discard(self._lock)
            os.close(self._lock)
            self._lock = None

    # --- what is kept ----------------------------------------------------------------------------------------------

    def _load(self) -> None:
        try:
            self._contents = msgspec.json.decode((self.path / "state.json").read_bytes(), type=_Contents)
        except FileNotFoundError:
            self._contents = _Contents()
        except msgspec.DecodeError as error:
            raise Misconfigured(
                f"{self.path / 'state.json'} is damaged ({error}): delete it; "
                "new ports are then chosen and no data is lost",
                code="engines.state_damaged",
            ) from error

    def _save(self) -> None:
        self._write(self.path / "state.json", msgspec.json.format(msgspec.json.encode(self._contents)))

    def _write(self, path: Path, content: bytes) -> None:
        new = path.with_name(f"{path.name}.new")
        with _explained(self.path):
            number = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(number, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(number)
            self._own(new)
            new.replace(path)

    def _own(self, path: Path) -> None:
        # Root in somebody's folder leaves nothing behind that its owner can't use.
        if os.geteuid() == 0:
            owner = self.path.stat()
            os.chown(path, owner.st_uid, owner.st_gid)

    def port(self, name: str) -> tuple[int, bool]:
        """The port of an engine and whether it was chosen just now, not in an earlier run."""
        kept = self._contents.ports.get(name)
        return (kept, False) if kept is not None else (self.new_port(name), True)

    def new_port(self, name: str) -> int:
        """Chooses a free loopback port for an engine and keeps it."""
        port = free_port(set(self._contents.ports.values()))
        self._contents.ports[name] = port
        self._save()
        return port

    def started(self, name: str) -> Identity | None:
        """The process last started for an engine, if it still is alive."""
        kept = self._contents.processes.get(name)
        identity = Identity(kept.pid, kept.mark) if kept else None
        return identity if identity and identity.alive else None

    def record(self, name: str, identity: Identity | None) -> None:
        """Keeps which process an engine is, None after it ended."""
        if identity is None:
            self._contents.processes.pop(name, None)
        else:
            self._contents.processes[name] = Started(identity.pid, identity.mark)
        self._save()

    def note(self, name: str) -> str:
        """What `set_note` kept under this name, else nothing."""
        return self._contents.notes.get(name, "")

    def set_note(self, name: str, text: str) -> None:
        """Keeps a short text that is no secret."""
        self._contents.notes[name] = text
        self._save()

    def secret(self, name: str) -> Secret:
        """The password of that name, made up (192 random bits) when there is none."""
        path = self.path / "secrets" / name
        with _explained(self.path):
            self._private(path.parent)
            try:
                return Secret(path.read_text(encoding="ascii").strip())
            except FileNotFoundError:
                value = secrets.token_urlsafe(24)
                self._write(path, value.encode())
                return Secret(value)

    def log(self, name: str) -> Path:
        """The log file of an engine."""
        with _explained(self.path):
            path = self._private(self.path / "logs") / f"{name}.log"
            path.touch(mode=0o600)
            self._own(path)
            return path

    def _private(self, path: Path) -> Path:
        if not path.exists():
            path.mkdir(mode=0o700)
            self._own(path)
        return path

    def data(self, name: str, account: Account | None) -> Path:
        """The data folder of an engine, mode 0700, owned by the account the engine runs as."""
        path = self.path / name
        with _explained(self.path):
            path.mkdir(mode=0o700, exist_ok=True)
            hand_over(path, account)
            path.chmod(0o700)
        return path


def hand_over(folder: Path, account: Account | None) -> None:
    """Gives a folder, or a file, with all its contents to `account`, when root may; else checks that it is ours."""
    uid = account.uid if account else os.geteuid()
    if folder.stat().st_uid == uid:
        return
    if account is None:
        raise Misconfigured(
            f"{folder} belongs to uid {folder.stat().st_uid}: run as that user, or 'chown -R {uid} {folder}'",
            code="engines.foreign_data",
        )
    try:
        for place, folders, files in os.walk(folder):
            for entry in (*folders, *files):
                os.chown(Path(place) / entry, account.uid, account.gid, follow_symlinks=False)
        os.chown(folder, account.uid, account.gid)
    except OSError as error:
        raise Misconfigured(
            f"PostgreSQL refuses to run as root, and {folder} cannot be handed to {account.name} ({error.strerror}): "
            "run as an ordinary user, or let root change owners here (CAP_CHOWN, a disk that knows owners)",
            code="engines.cannot_hand_over",
        ) from error


def write_private(path: Path, text: str, account: Account | None) -> None:
    """Writes a settings file with secrets in it: mode 0600, owned by the account the engine runs as."""
    with _explained(path):
        path.unlink(missing_ok=True)
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
        hand_over(path, account)
