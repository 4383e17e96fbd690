"""The page for auditors names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_the_page_names_exists():
    named = re.findall(
        r"`(tests/[^`]+\.py)::(\w+)`", (ROOT / "docs" / "hostile-traffic.md").read_text(encoding="utf-8")
    )
    assert len(named) > 40
    for path, name in named:
        assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), name
