"""What builds the image works, run in a folder of its own in the place of a container."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPILER = (sysconfig.get_config_var("CC") or "cc").split()[0]
# Where the build writes, as paths of the container.
FOLDERS = ("/opt", "/dist", "/compiled")


def instructions() -> list[tuple[str, str]]:
    """The build stage's instructions with their arguments; lines that go on are one."""
    text = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    stage = text.split("\nFROM ")[1]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in stage.splitlines()[1:]) if word]


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.skipif(shutil.which(COMPILER) is None, reason="needs a C compiler")
def test_the_build_stage_gives_a_gateway_whose_door_is_compiled(tmp_path):
    source = tmp_path / "src"
    source.mkdir()
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)
    there = re.compile(rf"(?<![\w/])({'|'.join(FOLDERS)})(?=[/ ])")
    for word, rest in instructions():
        if word == "COPY":
            *sources, target = rest.split()
            for each in sources:
                if (ROOT / each).is_dir():
                    shutil.copytree(ROOT / each, source / target, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(ROOT / each, source)
        elif word == "RUN":
            command = there.sub(rf"{tmp_path}\1", rest)
            done = subprocess.run(
                ["bash", "-euc", command], cwd=source, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
    version = subprocess.run(
        [tmp_path / "opt" / "crossdock" / "bin" / "crossdock", "--version"], cwd=tmp_path, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert version.stdout.strip().endswith("its door compiled")
