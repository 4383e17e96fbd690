"""What a process that answers requests does once, when everything is there that lives as long as it does."""

from __future__ import annotations

from gateway.serving.collector import calm_collector
from gateway.serving.scheduling import take_turns


def settle() -> None:
    """Let the garbage collector look seldom, and the threads take turns."""
    calm_collector()
    take_turns()
