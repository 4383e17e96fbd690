"""What a person sees while something takes time: on a terminal the present step with its seconds, else plain lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

_WORTH_SAYING_SECONDS: Final = 2.0


class Progress:
    """Call it with a line whenever a step begins or something happened.

    Lines go to standard error. On a terminal the newest one has a spinner and the seconds since it was said; elsewhere
    each is printed as it comes, and nothing moves. From `done` to `resume` nothing is under way: lines are news.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        self._live: Live | None = None
        self._idle = False
        self._line = ""
        self._since = 0.0

    def __call__(self, line: str) -> None:
        """`line` is the step under way from now on, or what happened meanwhile."""
        with suppress(OSError, ValueError):  # a closed terminal keeps nothing from being stopped
            if self._idle or not self._console.is_terminal:
                sys.stderr.write(f"  {line}\n")
                sys.stderr.flush()
            else:
                self._show(line)

    def done(self) -> None:
        """Nothing is under way: the last line stays, the spinner goes."""
        self._idle = True
        self._hide()

    def resume(self) -> None:
        """Steps follow again."""
        self._idle = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.done()

    @contextmanager
    def step(self, line: str) -> Iterator[None]:
        """Show `line` while something runs whose end is told by others; off a terminal nothing is printed."""
        if not self._console.is_terminal:
            yield
            return
        self._show(line)
        try:
            yield
        finally:
            self._line = ""
            self._hide()

    def _show(self, line: str) -> None:
        self._leave()
        self._line, self._since = line, time.monotonic()
        if self._live is None:
            self._live = Live(get_renderable=self._now, console=self._console, transient=True, redirect_stdout=False)
            self._live.start()
        self._live.refresh()

    def _hide(self) -> None:
        with suppress(OSError, ValueError):
            self._leave()
            if self._live is not None:
                self._live.stop()
        self._live = None

    def _leave(self) -> None:
        if self._line:
            took = time.monotonic() - self._since
            self._console.print(f"  {self._line}" + (f"  ({took:.0f} s)" if took > _WORTH_SAYING_SECONDS else ""))
            self._line = ""

    def _now(self) -> Table:
        row = Table.grid(padding=(0, 1))
        if not self._line:
            return row
        row.add_row(Spinner("dots"), Text(self._line), Text(f"{time.monotonic() - self._since:.0f} s", style="dim"))
        return row
