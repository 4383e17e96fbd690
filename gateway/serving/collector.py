"""The garbage collector of a process that serves for days."""

from __future__ import annotations

import gc


def calm_collector() -> None:
    """Spare the garbage collector what lives as long as the process, and let it look less often.

    A request leaves no cycle behind, so young collections find nothing, and by default one comes every few dozen.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
