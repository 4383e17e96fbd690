"""The page of people: who may, what it changes, and what it never shows twice."""

import re

import pytest

from gateway.identity.console_users import ConsoleUsers

from .conftest import client_of, csrf_in, invited

pytestmark = pytest.mark.integration
VERBS = ("add", "roles", "invite", "enable", "disable", "sign-out")


@pytest.fixture
async def administrator(console):
    client, token = await console.person("view", "administer")
    async with client:

        async def send(verb, name, *roles):
            form = {"csrf_token": token, "name": name, **dict.fromkeys(roles, "yes")}
            return await client.post(f"/people/{verb}", data=form)

        client.send_form = send
        yield client


def token_in(page):
    return re.search(r'<code id="token">([^<]+)</code>', page.text).group(1)


async def roles_of(console, name):
    return await console.store.fetchval("select roles from identity.console_user where name = $1", name)


async def test_only_an_administrator_sees_or_changes_people(console):
    client, token = await console.person("view", "repair", "approve")
    async with client:
        assert "/people" not in (await client.get("/")).text
        assert (await client.get("/people")).status_code == 403
        for verb in VERBS:
            form = {"csrf_token": token, "name": "view-repair-approve-person", "administer": "yes"}
            assert (await client.post(f"/people/{verb}", data=form)).status_code == 403
    assert await roles_of(console, "view-repair-approve-person") == ["approve", "repair", "view"]


async def test_no_change_without_our_form(console, administrator):
    for form in ({"name": "kim"}, {"name": "kim", "csrf_token": "x" * 32}):
        for verb in VERBS:
            assert (await administrator.post(f"/people/{verb}", data=form)).status_code == 403
    assert await console.store.fetchval("select count(*) from identity.console_user") == 1


async def test_somebody_is_added_with_a_token_that_is_shown_once_and_signs_in_once(console, administrator):
    page = await administrator.send_form("add", "Kim O'Hara", "repair")
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    token = token_in(page)
    assert token not in (await administrator.get("/people")).text
    assert await roles_of(console, "Kim O'Hara") == ["repair", "view"]
    async with client_of(console.app) as newcomer:
        form = {"csrf_token": csrf_in((await newcomer.get("/sign-in")).text), "token": token}
        assert (await newcomer.post("/sign-in/token", data=form)).headers["location"] == "/password"
        assert (await newcomer.get("/people")).headers["location"] == "/password"
    async with client_of(console.app) as second:
        form = {"csrf_token": csrf_in((await second.get("/sign-in")).text), "token": token}
        assert (await second.post("/sign-in/token", data=form)).status_code == 401


async def test_roles_tokens_sessions_and_access_are_changed_and_felt_at_once(console, administrator):
    kim, _ = await console.person("view")
    async with kim:
        answer = await administrator.send_form("roles", "view-person", "approve")
        assert (answer.status_code, answer.headers["location"]) == (303, "/people")
        assert "approve, view" in (await kim.get("/")).text
        await administrator.send_form("sign-out", "view-person")
        assert (await kim.get("/")).headers["location"] == "/sign-in"
    assert token_in(await administrator.send_form("invite", "view-person"))
    await administrator.send_form("disable", "view-person")
    page = await administrator.get("/people")
    assert '<span class="pill bad">disabled</span>' in page.text
    token = token_in(await administrator.send_form("enable", "view-person"))
    assert await ConsoleUsers(console.store).sign_in_with_token(token)
    actors = await console.store.fetch("select distinct actor from store.audit where actor <> 'cli'")
    assert [row["actor"] for row in actors] == ["console/view-administer-person"]


async def test_the_last_administrator_cannot_leave_or_demote_themselves(console, administrator):
    me = "view-administer-person"
    for verb in ("disable", "roles"):
        answer = await administrator.send_form(verb, me, "approve")
        assert answer.status_code == 409
        assert "nobody else can administer" in answer.text
    assert (await administrator.get("/people")).status_code == 200


async def test_what_cannot_be_is_said_on_the_page(console, administrator):
    await invited(console.store, "kim", "view")
    for verb, name, status in (
        ("add", "kim", 409),
        ("add", " ", 422),
        ("enable", "kim", 409),
        ("roles", "nobody", 404),
    ):
        assert (await administrator.send_form(verb, name)).status_code == status
    assert (await administrator.send_form("explode", "kim")).status_code == 404


async def test_a_hostile_name_is_text(console, administrator):
    name = "<script>alert(1)</script>'\"&{{7*7}}"
    page = await administrator.send_form("add", name)
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert(1)" in page.text
    assert (await administrator.send_form("disable", name)).status_code == 303
    assert not re.search(r"style=|<style|\son\w+=|javascript:", page.text)
