"""Owners of troubles: each lets people edit what stands still, or says what they do instead."""

import importlib
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_MODULES = [
    "gateway.backbone.letter_troubles",
    "gateway.reference.troubles",
    *(f"process_apis.{each.parent.name}.troubles" for each in sorted(_ROOT.glob("process_apis/*/troubles.py"))),
]


@pytest.mark.parametrize("module", _MODULES)
def test_an_owner_edits_or_says_what_is_done_instead(module):
    found = [each for each in vars(importlib.import_module(module)).values() if hasattr(each, "troubles")]
    owners = [each for each in found if each.__module__ == module]
    assert owners
    for owner in owners:
        assert hasattr(owner, "edit") != hasattr(owner, "mended"), owner
