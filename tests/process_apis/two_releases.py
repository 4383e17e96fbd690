"""Two releases of the code side by side, each in processes of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def later_release(folder: Path, *, succeeds: Sequence[str], other_word: tuple[str, str, str]) -> Path:
    """A copy of the code whose shape is ``2``; where it succeeds none, it has another word in the record for something.

    `other_word`: a file, what stands in it once, and what stands there instead.
    """
    for package in ("gateway", "process_apis"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "gateway/durable/shapes.toml").open("a", encoding="utf-8") as shapes:
        shapes.write(f'\n[[shape]]\nname = "2"\nsucceeds = {list(succeeds)}\n'.replace("'", '"'))
    if not succeeds:
        name, known, other = other_word
        text = (folder / name).read_text(encoding="utf-8")
        assert text.count(known) == 1
        (folder / name).write_text(text.replace(known, other), encoding="utf-8")
    return folder


async def begun(script: Path, release: Path, *arguments: str) -> asyncio.subprocess.Process:
    """A process that runs a script with the code of a release."""
    path = os.pathsep.join(map(str, (release, script.parent, ROOT)))
    return await asyncio.create_subprocess_exec(
        sys.executable, str(script), *arguments, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip


@asynccontextmanager
async def worker(script: Path, release: Path, *arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A worker of a release, with the name of its slot, which it prints when it is at work."""
    process = await begun(script, release, *arguments)
    try:
        assert process.stdout is not None
        yield process, (await asyncio.wait_for(process.stdout.readline(), 300)).decode().strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def printed_by(script: Path, release: Path, *arguments: str) -> list[str]:
    """What a process of a release prints before it ends well, word by word."""
    process = await begun(script, release, *arguments)
    told, _ = await asyncio.wait_for(process.communicate(), 300)
    assert process.returncode == 0
    return told.decode().split()


async def until(check: Callable[[], Awaitable[Any]], what: str, seconds: int = 300) -> None:
    """Wait until `check` gives True."""
    seen = None
    for _ in range(int(seconds / 0.1)):
        seen = await check()
        if seen is True:
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"{what}: {seen}")


async def ran(store: Any, subject: str) -> tuple[set[str], set[str]]:
    """The slots and shapes in which a subject's turns ran."""
    rows = await store.fetch(
        "select executor_id, application_version from dbos.workflow_status where workflow_uuid = $1"
        " or workflow_uuid like $1 || ':%'", subject,
    )  # fmt: skip
    return {row["executor_id"] for row in rows if row["executor_id"]}, {row["application_version"] for row in rows}
