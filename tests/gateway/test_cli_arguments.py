"""What can be typed: every word is explained, and what is wrong is refused in one line that says what to do."""

import argparse
from pathlib import Path

import pytest

from gateway.cli import command_parser, main
from gateway.cli_arguments import Arguments, number_from

_WORDS_OF_ARGPARSE = (argparse._HelpAction, argparse._VersionAction, argparse._SubParsersAction)


def _typed(parser, path=()):
    """Each command and group below `parser`: the words that lead to it, and its parser."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield (*path, name), below
                yield from _typed(below, (*path, name))


COMMANDS = list(_typed(command_parser()))


@pytest.mark.parametrize(("words", "parser"), COMMANDS, ids=lambda each: "-".join(each) if type(each) is tuple else "")
def test_every_command_and_each_of_its_arguments_is_explained(words, parser):
    assert parser.format_help()
    assert parser.description, words
    told = [action for action in parser._actions if not isinstance(action, _WORDS_OF_ARGPARSE)]
    assert [action.dest for action in told if not action.help] == []


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("partner add", "the following arguments are required: name, --channel; `crossdock partner add --"),
        ("partnr list", "argument COMMAND: invalid choice: 'partnr'"),
        ("up --port abc", "argument --port: 'abc' is not a whole number from 1 to 65534; `crossdock up --help`"),
        ("key rotate par_1 --overlap -1", "argument --overlap: '-1' is not a whole number from 0 to 2592000"),
        ("workers drain all", "argument slot: 'all' is not a whole number, at least 0"),
        ("exceptions list --limit 0", "argument --limit: '0' is not a whole number, at least 1"),
        ("supplier add Hill --code SUP-17", "argument --code: SOURCE=CODE, for example erp_na=SUP-17"),
        ("history --since 1", "unrecognized arguments: --since 1; `crossdock --help`"),
    ],
)
def test_what_is_typed_wrongly_is_refused_in_one_line(typed, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(typed.split())
    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (2, "")
    assert told.err.startswith(f"crossdock: {said}")
    assert told.err.count("\n") == 1


@pytest.mark.parametrize("group", ["partner", "exceptions bulk", "config"])
def test_a_group_without_a_verb_says_what_its_verbs_are(group, capsys):
    assert main(group.split()) == 2
    assert capsys.readouterr().out.startswith(f"usage: crossdock {group} ")


@pytest.mark.parametrize(
    "words",
    ["migrate --settings a.toml --json status --from x --to y", "apis --json --settings a.toml usage"],
)
def test_what_stands_before_a_verb_holds_for_it(words):
    given = command_parser().parse_args(words.split())
    assert (given.settings, given.json) == (Path("a.toml"), True)


def test_what_stands_behind_a_verb_goes_before_what_stands_before_it():
    given = command_parser().parse_args(["apis", "--settings", "a.toml", "usage", "--settings", "b.toml"])
    assert given.settings == Path("b.toml")


def test_a_number_is_taken_within_its_bounds_only():
    parser = Arguments(prog="x")
    parser.add_argument("n", type=number_from(2, 4))
    assert [parser.parse_args([text]).n for text in ("2", "4")] == [2, 4]
    for text in ("1", "5", "2.0", ""):
        with pytest.raises(SystemExit):
            parser.parse_args([text])
