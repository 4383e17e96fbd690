"""How the command reads what was typed: groups of commands, numbers, and one line that says what is wrong."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, Final, NoReturn

Command = Callable[[Any, str, Callable[..., int], str], argparse.ArgumentParser]
Options = Callable[[argparse.ArgumentParser], None]


class Arguments(argparse.ArgumentParser):
    """A parser that refuses in one line; what is typed as far as a group leaves the group's parser in `group`."""

    def add_subparsers(self, **shown: Any) -> Any:
        """As its parent does; commands are parsed by parsers of this class."""
        self.set_defaults(group=self)
        return super().add_subparsers(**shown)

    def error(self, message: str) -> NoReturn:
        """Exit 2 with one line: what is wrong, and where it is told what is right."""
        self.exit(2, f"crossdock: {message}; `{self.prog} --help` says what can be typed\n")


def add_group(commands: Any, name: str, text: str, *, metavar: str = "VERB") -> Any:
    """A command that only has commands of its own: what they are added to."""
    return commands.add_parser(name, help=text, description=text).add_subparsers(metavar=metavar)


def number_from(least: int, most: int | None = None) -> Callable[[str], int]:
    """A type of argument: a whole number from `least` to `most`, or of any size above."""
    wanted = f"a whole number, at least {least}" if most is None else f"a whole number from {least} to {most}"

    def read(text: str) -> int:
        try:
            found = int(text)
        except ValueError:
            found = least - 1
        if found < least or (most is not None and found > most):
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
        return found

    return read


COUNT: Final = number_from(1)
