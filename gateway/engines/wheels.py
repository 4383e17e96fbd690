"""Where the engines' executables are: in wheels, whose Python code is not imported.

Their helper APIs trust every local user, open a world-writable folder as root, give up after ten seconds of crash
recovery and stop strangers by command line; the executables beside them are what we want.
"""

from __future__ import annotations

import os
import shutil
import stat
from importlib import metadata
from pathlib import Path

from gateway.engines.process import Account
from gateway.kernel.errors import Misconfigured

_SHARED_COPIES = Path("/var/cache/crossdock")


def executable(wheel: str, name: str) -> Path:
    """The executable `name` that the distribution `wheel` brought. Raises `Misconfigured` when it is not installed."""
    try:
        files = metadata.distribution(wheel).files or ()
    except metadata.PackageNotFoundError:
        files = ()
    for file in files:
        if file.name == name and file.parent.name == "bin":
            path = Path(os.path.realpath(str(file.locate())))
            if os.access(path, os.X_OK):
                return path
    raise Misconfigured(
        f"{name} is not installed (wheel {wheel}): run 'pip install crossdock[engines]', "
        "or point the settings at servers of your own and start the gateway without 'crossdock up'",
        code="engines.wheel_missing",
    )


def major_version(wheel: str) -> int:
    """The first number of the version of an installed wheel."""
    return int(metadata.version(wheel).partition(".")[0])


def within_reach(path: Path, account: Account | None) -> bool:
    """Whether `account` may walk to `path` and run it, judged by owners and modes."""
    if account is None:
        return True
    return all(_allows(place.stat(), account) for place in (path, *path.parents))


def _allows(status: os.stat_result, account: Account) -> bool:
    if status.st_uid == account.uid:
        wanted = stat.S_IRUSR | stat.S_IXUSR
    elif status.st_gid == account.gid:
        wanted = stat.S_IRGRP | stat.S_IXGRP
    else:
        wanted = stat.S_IROTH | stat.S_IXOTH
    if stat.S_ISDIR(status.st_mode):
        wanted &= stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH
    return status.st_mode & wanted == wanted


def shared_copy(installation: Path, *siblings: Path, version: str, account: Account) -> Path:
    """A copy of `installation` (and of `siblings` beside it) that every account can run, made once per version.

    PostgreSQL insists on finding itself by its real path, so an environment under a private home, such as root's,
    is of no use to the account it runs as.
    """
    place = _SHARED_COPIES / f"{installation.parent.name}-{version}"
    if not place.exists():
        try:
            _copy(installation, siblings, place)
        except OSError as error:
            raise Misconfigured(
                f"PostgreSQL may not run as root, the account {account.name} may not enter {installation}, and a copy "
                f"in {place} failed ({error.strerror}): run as an ordinary user, or set the environment up in a folder "
                "that others may enter, such as /opt",
                code="engines.out_of_reach",
            ) from error
    owner = place.stat()
    if owner.st_uid != 0 or owner.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Misconfigured(f"{place} could be changed by others than root: delete it", code="engines.unsafe_copy")
    return place / installation.relative_to(installation.parent.parent)


def _copy(installation: Path, siblings: tuple[Path, ...], place: Path) -> None:
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    unfinished = place.with_name(f"{place.name}.{os.getpid()}")
    root = installation.parent.parent
    try:
        for source in (installation, *siblings):
            leave_out = shutil.ignore_patterns("include", "doc")
            shutil.copytree(source, unfinished / source.relative_to(root), symlinks=True, ignore=leave_out)
        for where, _, files in os.walk(unfinished):
            Path(where).chmod(0o755)
            for file in files:
                runs = where.endswith(("/bin", "/lib", ".libs"))
                (Path(where) / file).chmod(0o755 if runs else 0o644)
        unfinished.rename(place)
    except OSError:
        if not place.exists():  # else another process was faster
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
