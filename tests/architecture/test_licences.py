"""What we depend on may be shipped with an Apache-2.0 product."""

import importlib.metadata
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PERMISSIVE = re.compile(
    r"\b(MIT|BSD|Apache|ISC|PSF|Python Software Foundation|Unlicense|CC0|Zlib|0BSD|PostgreSQL|Mozilla|MPL)\b",
    re.IGNORECASE,
)
COPYLEFT = re.compile(r"\b(A?GPL|LGPL|General Public|EUPL|SSPL)\b", re.IGNORECASE)
ALLOWED = {
    "psycopg": "LGPL-3: a library DBOS imports, unmodified and replaceable; LGPL allows that",
    "psycopg-binary": "LGPL-3: the same library's compiled part",
}
# Locked for other platforms or Pythons than the one that runs this.
FOR_ELSEWHERE = {"async-timeout", "colorama"}
STATED_ELSEWHERE = {
    "pyreqwest": "MIT, in its repository; its wheel's metadata states none",
}


def locked(name: str) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    names = re.findall(r"^([A-Za-z0-9_.-]+)==", text, re.MULTILINE)
    return [name for name in names if name not in FOR_ELSEWHERE]


def licence_of(distribution: importlib.metadata.Distribution) -> str:
    meta = distribution.metadata
    classifiers = [c for c in meta.get_all("Classifier", []) if c.startswith("License ::")]
    return " | ".join([meta.get("License-Expression") or "", (meta.get("License") or "")[:200], *classifiers])


@pytest.mark.parametrize("name", locked("requirements.lock"))
def test_every_dependency_that_ships_has_a_licence_we_may_ship(name):
    licence = licence_of(importlib.metadata.distribution(name))
    if COPYLEFT.search(licence):
        assert name in ALLOWED, f"{name} is {licence}: run it as a separate process, or leave it out"
        return
    assert PERMISSIVE.search(licence) or name in STATED_ELSEWHERE, f"{name} states {licence!r}"


def test_every_lock_line_is_hashed_and_none_names_a_host():
    for lock in [*ROOT.glob("*.lock"), *ROOT.glob("deploy/*.lock"), *ROOT.glob("system_apis/*/requirements.lock")]:
        text = lock.read_text(encoding="utf-8")
        pins = re.findall(r"^[A-Za-z0-9_.-]+==[^\n]*(?:\n +--hash[^\n]*)*", text, re.MULTILINE)
        assert pins
        assert [pin.splitlines()[0] for pin in pins if "--hash=sha256:" not in pin] == []
        assert "://" not in text
