"""`crossdock user` on a real record: the way in where nobody can administer any more."""

import asyncio
import json

import pytest

from gateway.cli import main
from gateway.identity.console_users import ConsoleUsers

pytestmark = pytest.mark.integration


@pytest.fixture
async def typed(console_url, store, tmp_path, capsys):
    """Types a command; gives its exit status and what it said."""
    (tmp_path / "url").write_text(console_url, encoding="utf-8")
    (tmp_path / "key").write_text("a master key of these tests, long enough to be one", encoding="utf-8")
    for name in ("url", "key"):
        (tmp_path / name).chmod(0o600)
    installation = await store.fetchval("select installation_id::text from store.installation")
    reference = f'"file:{tmp_path}/url"'
    settings = tmp_path / "settings.toml"
    settings.write_text(
        f'tenant = "acme"\n[store]\nurl = {reference}\ninstallation = "{installation}"\n'
        f'[backbone]\nurl = {reference}\n[cache]\nurl = "env:USER_COMMAND_CACHE"\n'
        f'[secrets]\nkeys = {{ 1 = "file:{tmp_path}/key" }}\n',
        encoding="utf-8",
    )

    async def run(*words):
        status = await asyncio.to_thread(main, ["user", *words, "--settings", str(settings)])
        told = capsys.readouterr()
        return status, told.out + told.err

    return run


async def test_people_are_added_listed_changed_and_put_out_by_command(typed, store, monkeypatch):
    monkeypatch.setenv("USER_COMMAND_CACHE", "redis://127.0.0.1:1/0")
    status, told = await typed("add", "kim", "--role", "administer", "--json")
    added = json.loads(told)
    assert (status, added["name"]) == (0, "kim")
    users = ConsoleUsers(store)
    user = await users.session(await users.sign_in_with_token(added["token"]))
    assert user.roles == {"view", "administer"}
    await users.set_password(user.user_id, "correct horse battery")

    status, told = await typed("roles", "kim", "--role", "repair")
    assert status == 2
    assert "nobody else can administer" in told
    assert (await typed("add", "lee"))[0] == 0
    assert (await typed("roles", "lee", "--role", "repair", "--role", "approve"))[0] == 0
    listed = {each["name"]: each for each in json.loads((await typed("list", "--json"))[1])}
    assert listed["lee"]["roles"] == ["view", "repair", "approve"]
    table = (await typed("list"))[1]
    assert "lee" in table
    assert "invited" in table
    for verb in ("invite", "sign-out", "disable", "enable"):
        assert (await typed(verb, "lee"))[0] == 0
    assert (await typed("disable", "nobody"))[0] == 2
    actors = await store.fetch("select distinct split_part(actor, '/', 1) as door from store.audit")
    assert [row["door"] for row in actors] == ["cli"]
