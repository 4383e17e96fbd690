"""Pages that must be complete: decisions, settings, codes."""

import re
from pathlib import Path

import pytest

from gateway.settings import load_settings
from tests.docs.settings_reference import PAGE, page_with_reference

ROOT = Path(__file__).parents[2]
DECISIONS = ROOT / "docs" / "decisions"


def test_every_decision_has_a_number_of_its_own_without_gaps_and_says_it_in_its_title():
    records = sorted(path for path in DECISIONS.glob("*.md") if path.name != "README.md")
    assert [int(path.name[:4]) for path in records] == list(range(1, len(records) + 1))
    assert [path.read_text(encoding="utf-8").split(".")[0] for path in records] == [
        f"# {number}" for number in range(1, len(records) + 1)
    ]


def test_every_decision_is_listed_with_its_title():
    listed = (DECISIONS / "README.md").read_text(encoding="utf-8")
    for path in DECISIONS.glob("[0-9]*.md"):
        title = path.read_text(encoding="utf-8").splitlines()[0].split(". ", 1)[1]
        assert f"[{title}]({path.name})" in listed


def test_the_settings_reference_is_that_of_the_code():
    page = PAGE.read_text(encoding="utf-8")
    assert page == page_with_reference(), "run: .venv/bin/python -m tests.docs.settings_reference"


def test_every_code_that_partners_are_told_is_raised_somewhere():
    table = (ROOT / "docs" / "partner.md").read_text(encoding="utf-8").split("## When something is refused")[1]
    codes = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", table.split("## Limits")[0]))
    source = "\n".join(
        path.read_text(encoding="utf-8")
        for top in ("gateway", "policies", "process_apis", "experience_apis")
        for path in (ROOT / top).rglob("*.py")
    )
    assert codes
    assert {code for code in codes if f'"{code}"' not in source} == set()


@pytest.mark.parametrize("path", sorted((ROOT / "deploy").rglob("*.toml")), ids=lambda path: path.name)
def test_the_settings_we_ship_are_accepted(path):
    assert load_settings(path).tenant
