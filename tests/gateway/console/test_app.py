"""Signing in, roles, forms and headers, through ASGI. Without a database where it is decided before one is asked."""

import asyncio

import pytest

from gateway.console.app import make_console
from gateway.identity.console_users import ConsoleUsers
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Misconfigured
from gateway.kernel.secrets import Secret
from gateway.store.postgres import Store

from .conftest import BOOTSTRAP, PASSWORD, Messages, Orders, client_of, csrf_in, invited

CSP = "default-src 'self'; frame-ancestors 'none'"
WRITES = ("/exceptions/exc_1/retry", "/dead-letters/1/replay", "/dead-letters/1/resolve", "/webhooks/msg_1/redeliver")


# --- nothing read -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/nowhere", "/assets/none.css", "/panels/orders", "/orders/x", "/%00", "/a//b"])
async def test_every_answer_carries_the_security_headers(closed_console, path):
    async with client_of(closed_console) as client:
        answer = await client.get(path)
    assert answer.headers["content-security-policy"].startswith(CSP)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "unsafe" not in answer.headers["content-security-policy"]


async def test_an_unreachable_record_is_a_plain_503_with_headers(closed_console):
    async with client_of(closed_console) as client:
        answer = await client.get("/sign-in")
        fragment = await client.get("/panels/orders", headers={"cookie": "crossdock_session=x", "hx-request": "true"})
    assert (answer.status_code, fragment.status_code) == (503, 503)
    assert answer.headers["content-security-policy"].startswith(CSP)
    assert "postgresql" not in answer.text.lower()


@pytest.mark.parametrize(
    "path", ["/", "/panels/headline", "/orders/ord_1", "/events/1", "/dead-letters/1", "/password"]
)
async def test_whoever_is_signed_out_is_sent_to_sign_in(closed_console, path):
    async with client_of(closed_console) as client:
        page = await client.get(path)
        fragment = await client.get(path, headers={"hx-request": "true"})
    assert (page.status_code, page.headers["location"]) == (303, "/sign-in")
    assert (fragment.status_code, fragment.headers["hx-redirect"]) == (401, "/sign-in")
    assert fragment.text == ""


@pytest.mark.parametrize("path", WRITES)
async def test_no_write_without_a_session(closed_console, path):
    async with client_of(closed_console) as client:
        answer = await client.post(path, data={"csrf_token": "x"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.test"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "null"},
    ],
)
async def test_a_form_from_another_site_is_refused(closed_console, headers):
    async with client_of(closed_console, cookie="crossdock_form=" + "a" * 27) as client:
        answer = await client.post("/sign-in", data={"csrf_token": "a" * 27}, headers=headers)
    assert answer.status_code == 403


@pytest.mark.parametrize("sent", [{}, {"csrf_token": ""}, {"csrf_token": "b" * 27}])
async def test_signing_in_needs_the_token_of_our_form(closed_console, sent):
    async with client_of(closed_console, cookie="crossdock_form=" + "a" * 27) as client:
        answer = await client.post("/sign-in", data={**sent, "name": "x", "password": "y"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"{}", 422),
        ("application/x-www-form-urlencoded", b"csrf_token=a&csrf_token=b", 422),
        ("application/x-www-form-urlencoded", b"name=%00&csrf_token=a", 422),
        ("application/x-www-form-urlencoded", b"name=%ff", 422),
        ("application/x-www-form-urlencoded", b"a=1&" * 50, 422),
        ("application/x-www-form-urlencoded", b"a=" + b"x" * 20_000, 413),
    ],
)
async def test_what_is_not_a_small_plain_form_is_refused(closed_console, content_type, body, status):
    async with client_of(closed_console) as client:
        answer = await client.post("/sign-in", content=body, headers={"content-type": content_type})
    assert answer.status_code == status


async def test_other_methods_are_refused(closed_console):
    async with client_of(closed_console) as client:
        for method in ("PUT", "DELETE", "TRACE"):
            answer = await client.request(method, "/")
            assert answer.status_code == 405


def test_a_bootstrap_token_that_could_be_guessed_is_refused():
    with pytest.raises(Misconfigured, match="too short"):
        make_console(
            store=Store("postgresql://"),
            clock=SystemClock(),
            tenant="acme",
            orders=Orders(),
            messages=Messages(),
            bootstrap=Secret("admin"),
        )


async def test_behind_https_cookies_are_secure_and_the_browser_remembers(closed_console):
    app = make_console(
        store=Store("postgresql://nobody@127.0.0.1:1/none"),
        clock=SystemClock(),
        tenant="acme",
        orders=Orders(),
        messages=Messages(),
        https=True,
    )
    async with client_of(app) as client:
        answer = await client.get("/")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


# --- on a real record -------------------------------------------------------------------------------------------------


async def bootstrap(client, token=BOOTSTRAP):
    page = await client.get("/sign-in")
    return await client.post("/sign-in/token", data={"csrf_token": csrf_in(page.text), "token": token})


@pytest.mark.integration
async def test_the_bootstrap_token_makes_the_administrator_and_ends(console):
    async with client_of(console.app) as client:
        assert "Set up the first administrator" in (await client.get("/sign-in")).text
        answer = await bootstrap(client)
        assert (answer.status_code, answer.headers["location"]) == (303, "/password")
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        for path in ("/", "/panels/orders"):
            assert (await client.get(path)).headers["location"] == "/password"
        token = csrf_in((await client.get("/password")).text)
        short = {"csrf_token": token, "password": "short", "again": "short"}
        assert (await client.post("/password", data=short)).status_code == 422
        differs = {"csrf_token": token, "password": PASSWORD, "again": PASSWORD + "x"}
        assert (await client.post("/password", data=differs)).status_code == 422
        right = {"csrf_token": token, "password": PASSWORD, "again": PASSWORD}
        assert (await client.post("/password", data=right)).headers["location"] == "/"
        assert (await client.get("/")).status_code == 200
    async with client_of(console.app) as client:
        again = await bootstrap(client)
        assert again.status_code == 401
        assert "the bootstrap token was used" in again.text
        fields = {"csrf_token": csrf_in(again.text), "name": "administrator", "password": PASSWORD}
        assert (await client.post("/sign-in", data=fields)).headers["location"] == "/"
        page = await client.get("/")
        assert "administer, approve, repair, view" in page.text
        out = await client.post("/sign-out", data={"csrf_token": csrf_in(page.text)})
        assert out.headers["location"] == "/sign-in"
        assert (await client.get("/")).headers["location"] == "/sign-in"


@pytest.mark.integration
async def test_wrong_passwords_are_told_nothing_and_slowed_down(console):
    users = ConsoleUsers(console.store)
    await invited(console.store, "view-person", "view")
    user_id = await console.store.fetchval("select user_id from identity.console_user where name = 'view-person'")
    await users.set_password(user_id, PASSWORD)
    async with client_of(console.app) as client:
        page = await client.get("/sign-in")
        fields = {"csrf_token": csrf_in(page.text), "name": "view-person", "password": "wrong"}
        answers = await asyncio.gather(*(client.post("/sign-in", data=fields) for _ in range(5)))
        assert {answer.status_code for answer in answers} == {401}
        unknown = await client.post("/sign-in", data={**fields, "name": "nobody"})
        assert "name or password is wrong" in unknown.text
        locked = await client.post("/sign-in", data={**fields, "password": PASSWORD})
        assert locked.status_code == 429


@pytest.mark.integration
async def test_looking_does_not_let_one_repair(console):
    client, token = await console.person("view")
    async with client:
        for path in WRITES:
            answer = await client.post(path, data={"csrf_token": token, "reason": "because"})
            assert answer.status_code == 403
    assert console.orders.asked == []
    assert console.messages.asked == []


@pytest.mark.integration
async def test_a_session_without_the_right_form_token_changes_nothing(console):
    client, _ = await console.person("view", "repair")
    async with client:
        for path in (*WRITES, "/sign-out"):
            assert (await client.post(path, data={"csrf_token": "x" * 32})).status_code == 403
            assert (
                await client.post(path, headers={"content-type": "application/x-www-form-urlencoded"})
            ).status_code == 403
        assert (await client.get("/")).status_code == 200
    assert console.orders.asked == []


@pytest.mark.integration
async def test_a_cookie_made_up_opens_nothing(console):
    async with client_of(console.app, cookie="crossdock_session=" + "a" * 40) as client:
        assert (await client.get("/")).headers["location"] == "/sign-in"
