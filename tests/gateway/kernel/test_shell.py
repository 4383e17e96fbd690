import os

from gateway.kernel.shell import shell_actor


def test_an_account_without_a_name_may_use_the_command(monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 2)
    assert shell_actor() == "shell/unknown"
