"""The command: one line that says what to do, and exit statuses as documented."""

import json
import subprocess
import sys

import pytest

from gateway.cli import command_parser, main


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CROSSDOCK_SETTINGS", raising=False)
    return tmp_path


@pytest.mark.parametrize("command", ["gateway", "worker", "console", "migrate", "begin-epoch", "partner list"])
def test_production_commands_refuse_to_start_without_settings(command, capsys):
    assert main(command.split()) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("crossdock: no settings: name a file in CROSSDOCK_SETTINGS")
    assert said.err.count("\n") == 1


@pytest.mark.integration
@pytest.mark.parametrize(
    "command",
    [
        "begin-epoch", "partner list", "key revoke k", "plan list", "user list", "supplier list", "holder list",
        "master owners items", "explain req_1", "reconcile", "exceptions list", "exceptions bulk list", "replay",
        "feed web", "history", "workers list", "config show", "migrate status --from a --to b", "apis usage",
    ],
)  # fmt: skip
def test_a_command_on_a_record_that_is_down_says_so_in_one_line(command, elsewhere, monkeypatch, capsys):
    monkeypatch.setenv("NOBODY", "postgresql://crossdock@127.0.0.1:1/crossdock")
    monkeypatch.setenv("NO_CACHE", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("A_KEY", "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3I=")
    settings = elsewhere / "settings.toml"
    settings.write_text(
        'tenant = "acme"\nbackbone = { url = "env:NOBODY" }\ncache = { url = "env:NO_CACHE" }\n'
        'store = { url = "env:NOBODY", installation = "i" }\nsecrets = { keys = { "1" = "env:A_KEY" } }\n'
    )
    assert main([*command.split(), "--settings", str(settings)]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert told.err.startswith("crossdock: PostgreSQL does not answer; check that it runs and that store.url is right")


def test_the_settings_that_the_environment_names_come_before_those_in_the_folder(elsewhere, monkeypatch, capsys):
    (elsewhere / ".crossdock").mkdir()
    (elsewhere / ".crossdock" / "settings.toml").write_text("tenant = 1")
    assert main(["migrate"]) == 2
    assert ".crossdock/settings.toml" in capsys.readouterr().err
    monkeypatch.setenv("CROSSDOCK_SETTINGS", str(elsewhere / "named.toml"))
    assert main(["migrate"]) == 2
    assert "named.toml: No such file" in capsys.readouterr().err


def test_without_a_command_it_says_what_there_is(capsys):
    assert main([]) == 2
    assert "partner" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [["up", "--port", "0"], ["up", "--port", "70000"], ["up", "--workers", "0"], ["play", "x"]]
)
def test_impossible_arguments_are_refused_as_wrong_calls(words):
    with pytest.raises(SystemExit) as ended:
        command_parser().parse_args(words)
    assert ended.value.code == 2


def test_an_installation_without_engines_says_so(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gateway.plays.day", None)
    assert main(["up"]) == 2
    assert "install 'crossdock[engines]'" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_named(elsewhere, capsys):
    (elsewhere / "file").touch()
    assert main(["contracts", "export", "--folder", str(elsewhere / "file" / "below"), "--json"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "file/below" in said.err


def test_contracts_are_exported_and_checked_as_json(elsewhere, capsys):
    assert main(["contracts", "export", "--folder", str(elsewhere / "openapi"), "--json"]) == 0
    exported = json.loads(capsys.readouterr().out)
    assert len(exported["changed"]) == exported["contracts"] > 0
    (elsewhere / exported["changed"][0]).write_text("")
    assert main(["contracts", "export", "--folder", str(elsewhere / "openapi"), "--check", "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)["differences"]) == 1


def test_help_loads_neither_the_gateway_nor_the_engines():
    code = """
import sys
from gateway.cli import main
main([])
print([module for module in ('gateway.app', 'psutil') if module in sys.modules])
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "[]"


def test_a_play_gets_its_folder_whole_whatever_was_typed(monkeypatch, tmp_path):
    folders = []

    async def story(folder, **_):
        folders.append(folder)
        return 0

    monkeypatch.setattr("gateway.cli_plays._story", lambda _: story)
    monkeypatch.chdir(tmp_path)
    assert main(["play", "promotion", "--folder", "here"]) == 0
    assert folders == [tmp_path / "here"]
