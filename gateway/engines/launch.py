"""Run as a script in the child, before the engine: become another account, die with the parent, then exec.

    python -I -S launch.py PARENT SIGNAL UID GID PROGRAM [ARGUMENT ...]

A process of its own, because `preexec_fn` may deadlock in a parent with threads. UID -1 keeps the account.
It imports nothing of ours: the account it becomes may not be able to read our files.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
REFUSED = 97
"""Exit status when the account can't be assumed or the program can't be run; standard error says why."""


def become(uid: int, gid: int) -> None:
    """Gives up root for good, supplementary groups first."""
    if uid < 0:
        return
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def die_with(parent: int, number: int) -> None:
    """Asks the kernel for signal `number` when the parent ends. After `become`, which would clear it (prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(REFUSED)


def run(program: str, arguments: list[str]) -> None:
    """Execs by path where the account may walk it, else through the file that was opened before."""
    os.umask(0o077)
    os.execv(program, [program, *arguments])  # noqa: S606 - no shell is the point


def main(arguments: list[str]) -> None:
    """Never returns: execs, or exits with `REFUSED`."""
    parent, number, uid, gid, program = *map(int, arguments[:4]), arguments[4]
    try:
        opened = os.open(program, os.O_RDONLY | os.O_CLOEXEC)
        become(uid, gid)
        die_with(parent, number)
        try:
            run(program, arguments[5:])
        except PermissionError:
            os.execve(opened, [program, *arguments[5:]], os.environ)  # noqa: S606 - no shell is the point
    except OSError as error:
        sys.stderr.write(f"cannot run {program} as uid {uid}: {error}\n")
        sys.exit(REFUSED)


if __name__ == "__main__":
    main(sys.argv[1:])
