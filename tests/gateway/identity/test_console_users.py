import pytest

from gateway.identity.console_users import ROLES, ConsoleUsers
from gateway.kernel.errors import Conflict, Invalid, NotAuthenticated, Throttled

pytestmark = pytest.mark.integration
PASSWORD = "correct horse battery"


@pytest.fixture
def users(store, monkeypatch):
    monkeypatch.setattr("gateway.identity.console_users._COST", {"n": 2, "r": 8, "p": 1, "dklen": 32})
    return ConsoleUsers(store)


@pytest.fixture
async def administrator(users):
    cookie = await users.sign_in_with_token(await users.bootstrap_token())
    return await users.session(cookie)


async def test_the_bootstrap_token_signs_the_administrator_in_once(users):
    token = await users.bootstrap_token()
    user = await users.session(await users.sign_in_with_token(token))
    assert (user.name, user.roles, user.has_password) == ("administrator", ROLES, False)
    with pytest.raises(NotAuthenticated):
        await users.sign_in_with_token(token)


async def test_a_newer_bootstrap_token_replaces_the_one_before(users):
    first, second = await users.bootstrap_token(), await users.bootstrap_token()
    with pytest.raises(NotAuthenticated):
        await users.sign_in_with_token(first)
    assert await users.sign_in_with_token(second)


async def test_once_somebody_has_a_password_there_is_no_bootstrap_token(users, administrator):
    await users.set_password(administrator.user_id, PASSWORD)
    assert await users.bootstrap_token() is None


async def test_a_password_signs_in_and_its_change_ends_all_sessions(users, administrator):
    cookie = await users.set_password(administrator.user_id, PASSWORD)
    assert (await users.session(cookie)).has_password
    another = await users.sign_in("administrator", PASSWORD)
    newest = await users.set_password(administrator.user_id, PASSWORD + "!")
    assert await users.session(another) is None
    assert await users.session(cookie) is None
    assert await users.session(newest)
    with pytest.raises(NotAuthenticated):
        await users.sign_in("administrator", PASSWORD)


async def test_a_short_password_is_refused(users, administrator):
    with pytest.raises(Invalid):
        await users.set_password(administrator.user_id, "short")


async def test_wrong_name_and_wrong_password_look_the_same_and_five_failures_lock(users, administrator):
    await users.set_password(administrator.user_id, PASSWORD)
    with pytest.raises(NotAuthenticated) as unknown:
        await users.sign_in("nobody", PASSWORD)
    for _ in range(5):
        with pytest.raises(NotAuthenticated) as wrong:
            await users.sign_in("administrator", "wrong password")
    assert wrong.value.detail == unknown.value.detail
    with pytest.raises(Throttled):
        await users.sign_in("administrator", PASSWORD)


async def test_a_user_without_a_password_cannot_sign_in_with_an_empty_one(users, administrator):
    for password in ("", "AAAA"):
        with pytest.raises(NotAuthenticated):
            await users.sign_in("administrator", password)


async def test_an_invited_user_has_only_its_roles_until_disabled(users):
    cookie = await users.sign_in_with_token(await users.invite("kim", frozenset({"view"})))
    assert (await users.session(cookie)).roles == {"view"}
    with pytest.raises(Conflict):
        await users.invite("kim", frozenset({"view"}))
    with pytest.raises(Invalid):
        await users.invite("lee", frozenset({"root"}))
    await users.disable("kim")
    assert await users.session(cookie) is None


async def test_a_session_ends_by_signing_out_idling_and_age(users, store, administrator):
    cookie = await users.set_password(administrator.user_id, PASSWORD)
    assert await users.session(cookie)
    await users.sign_out(cookie)
    assert await users.session(cookie) is None
    for column in ("expires_at", "seen_at"):
        cookie = await users.sign_in("administrator", PASSWORD)
        await store.execute(f"update identity.console_session set {column} = now() - interval '2 hours'")
        assert await users.session(cookie) is None


async def test_cookies_and_tokens_are_not_in_the_database(users, store):
    token = await users.bootstrap_token()
    assert token not in str(await store.fetch("select * from identity.console_invitation"))
    cookie = await users.sign_in_with_token(token)
    assert cookie not in str(await store.fetch("select * from identity.console_session"))
