"""Whether what every request passes is compiled here (`gateway/compiling.py`) or runs from its sources."""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES

from gateway.kernel import passage


def form_of_door() -> str:
    """``compiled`` or ``interpreted``. Both do the same; only what a request costs differs."""
    return "compiled" if str(passage.__file__).endswith(tuple(EXTENSION_SUFFIXES)) else "interpreted"
