"""What people see while something takes time."""

import io
import re

from rich.console import Console

from gateway.plays.progress import Progress


def terminal():
    return Console(file=io.StringIO(), force_terminal=True, width=80, markup=False, highlight=False)


def test_without_a_terminal_every_line_is_printed_as_it_comes_and_nothing_moves(capsys):
    with Progress(Console(file=io.StringIO(), force_terminal=False)) as progress:
        progress("starting Tryton")
        with progress.step("told by others"):
            pass
        progress("ready")
    assert capsys.readouterr().err == "  starting Tryton\n  ready\n"


def test_on_a_terminal_the_step_under_way_shows_its_seconds_and_stays_when_it_is_done():
    console = terminal()
    with Progress(console) as progress:
        progress("starting [Tryton]")
        progress("ready")
    shown = console.file.getvalue()
    assert "starting [Tryton] " in shown
    assert re.search(r"\d s", shown)
    assert "  starting [Tryton]\n" in shown
    assert "  ready\n" in shown
    assert shown.endswith("\x1b[2K")  # what moved is gone


def test_when_nothing_is_under_way_lines_are_news_without_a_spinner(capsys):
    console = terminal()
    with Progress(console) as progress:
        progress.done()
        progress("the worker ended; starting it again")
        assert console.file.getvalue() == ""
        progress.resume()
        progress("stopping")
    assert capsys.readouterr().err == "  the worker ended; starting it again\n"
    assert "  stopping\n" in console.file.getvalue()


def test_a_closed_terminal_stops_nobody(monkeypatch):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr("sys.stderr", closed)
    progress = Progress(Console(file=io.StringIO(), force_terminal=False))
    progress("stopping")
    progress.done()
