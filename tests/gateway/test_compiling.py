"""What every request passes can be compiled, and behaves the same."""

import ast
import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from gateway.kernel.form import form_of_door

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "gateway" / "compiling.py"
MODULES = runpy.run_path(str(SCRIPT))["MODULES"]
COMPILER = (sysconfig.get_config_var("CC") or "cc").split()[0]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_that_is_compiled_holds_nothing_that_cannot_be(module):
    for node in ast.walk(ast.parse((ROOT / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
            assert "Struct" not in bases, f"{module}: move {node.name} to a module of its own, which is not compiled"
        if isinstance(node, ast.AsyncFunctionDef):
            yields = [inner for inner in ast.walk(node) if isinstance(inner, (ast.Yield, ast.YieldFrom))]
            assert not yields, f"{module}: {node.name} is an asynchronous generator, which mypyc does not know"


def test_without_a_compiler_one_line_says_what_that_means(tmp_path):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path)], env={"PATH": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("no C compiler")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_form_is_told():
    assert form_of_door() in {"compiled", "interpreted"}


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.skipif(shutil.which(COMPILER) is None, reason="needs a C compiler")
def test_the_tests_of_the_door_pass_when_it_is_compiled(tmp_path):
    built = tmp_path / "built"
    subprocess.run([sys.executable, str(SCRIPT), str(built), "--copy"], cwd=ROOT, check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": str(built), "PYTHONSAFEPATH": "1"}
    version = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "--version"], env=environment, cwd=ROOT, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert version.stdout.strip().endswith("its door compiled")
    parts = ("edge", "outbound", "systems/proxied")
    suites = [*(f"tests/gateway/{part}" for part in parts), "tests/policies", "tests/contract"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", "not long", *suites],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
