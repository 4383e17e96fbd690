"""The published contracts under the linters that others use, with the rules published beside them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "openapi"
DOCUMENTS = sorted(FOLDER.rglob("v*.yaml"))
TOOLS = ROOT / ".crossdock" / "outside-tools"
BIN = TOOLS / "node_modules" / ".bin"

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not (BIN / "redocly").exists() or shutil.which("node") is None,
        reason="no redocly and spectral: run tests/install_outside_tools.sh",
    ),
]
every_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(FOLDER)))


def lint(*command: str, folder: Path) -> str:
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, timeout=120, env={**os.environ, **quiet}
    )
    assert done.stdout, done.stderr[-2000:]
    return done.stdout


@every_document
def test_redocly_finds_nothing(path, tmp_path):
    rules = str(FOLDER / "rules" / "redocly.yaml")
    told = lint(str(BIN / "redocly"), "lint", "--config", rules, "--format=json", str(path), folder=tmp_path)
    found: dict[str, Any] = json.loads(told[told.index("{") :])
    assert found["problems"] == []


@every_document
def test_spectral_and_the_owasp_rules_find_nothing(path):
    assert spectral("spectral.yaml", path) == []


def test_spectral_finds_nothing_in_what_is_told_unasked():
    assert spectral("spectral-asyncapi.yaml", FOLDER / "asyncapi.yaml") == []


def spectral(ruleset: str, path: Path) -> Any:
    # Rulesets are resolved from where their file lies, so it lies beside the tools while they run.
    rules = TOOLS / ruleset
    shutil.copyfile(FOLDER / "rules" / ruleset, rules)
    told = lint(str(BIN / "spectral"), "lint", "-r", str(rules), "--format", "json", str(path), folder=TOOLS)
    return json.loads(told[: told.rindex("]") + 1])
