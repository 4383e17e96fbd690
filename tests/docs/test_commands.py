"""What the pages tell people to type and to open is there."""

import re
import shlex
from pathlib import Path

import pytest

from gateway.cli import command_parser

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")]
    if page.name != "CHANGELOG.md"
)
_COMMAND = re.compile(r"(?:\.venv/bin/)?crossdock ((?:[a-z-]+)(?: [^`\n|>#]*)?)")
_TOPS = "gateway|system_apis|process_apis|experience_apis|policies|openapi|deploy|tests|benchmarks|docs"
_PATH = re.compile(rf"`((?:{_TOPS})/[A-Za-z0-9_./-]*)`")
_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
_MAKE = re.compile(r"(?:`|^)make ([a-z-]+(?: [a-z-]+)*)", re.MULTILINE)


def code_of(page: Path) -> list[str]:
    """The page's code: fenced lines, and what stands between backticks."""
    text = page.read_text(encoding="utf-8")
    fenced = re.findall(r"^```(?:sh)?\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line.split("  #")[0].strip() for block in fenced for line in block.replace("\\\n", " ").splitlines()]
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    return [*lines, *inline]


def commands_of(page: Path) -> list[str]:
    found = [
        match[1].strip() for code in code_of(page) if (match := re.match(rf"^(?:{_COMMAND.pattern})", code)) is not None
    ]
    return [command for command in found if "…" not in command]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_crossdock_command_on_the_page_is_one(page, capsys):
    for command in commands_of(page):
        words = shlex.split(command)
        if words in (["partner"], ["contracts"], ["config"], ["--version"]):  # groups of commands, spoken of
            continue
        try:
            given = command_parser().parse_args(words)
        except SystemExit:
            pytest.fail(f"`crossdock {command}` is not a command: {capsys.readouterr().err.splitlines()[-1]}")
        assert hasattr(given, "run")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_named_on_the_page_exists(page):
    text = page.read_text(encoding="utf-8")
    named = [ROOT / path for path in _PATH.findall(text)] + [page.parent / link for link in _LINK.findall(text)]
    assert [str(path) for path in named if not path.exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_target_named_on_the_page_exists(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        word for words in _MAKE.findall("\n".join(f"`{code}`" for code in code_of(page))) for word in words.split()
    }
    assert named <= targets


def test_the_pages_speak_of_commands_at_all():
    assert sum(len(commands_of(page)) for page in PAGES) > 20
