import asyncio
import base64
import hashlib

import pytest
from argon2 import PasswordHasher

from gateway.identity.console_people import People
from gateway.identity.console_users import ROLES, ConsoleUsers, OutsidePerson
from gateway.identity.passwords import Passwords
from gateway.kernel.errors import Conflict, Invalid, NotAllowed, NotAuthenticated, NotFound, Throttled

pytestmark = pytest.mark.integration
PASSWORD = "correct horse battery"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def users(store):
    return ConsoleUsers(store, passwords=Passwords(CHEAP))


@pytest.fixture
async def administrator(users):
    cookie = await users.sign_in_with_token(await users.bootstrap_token())
    return await users.session(cookie)


async def by(store, verb, *given, actor="console/administrator"):
    async with store.transaction() as connection:
        return await getattr(People(connection, tenant="acme", actor=actor), verb)(*given)


async def add(users, store, name, *roles):
    """Somebody with a password."""
    token = await by(store, "add", name, frozenset(roles))
    user = await users.session(await users.sign_in_with_token(token))
    return await users.set_password(user.user_id, PASSWORD)


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


async def test_a_record_of_before_still_fits_and_is_renewed_when_it_was_used(users, store, administrator):
    salt = b"0123456789abcdef"
    derived = hashlib.scrypt(PASSWORD.encode(), salt=salt, n=2**15, r=8, p=3, maxmem=64 << 20, dklen=32)
    record = ".".join(("scrypt15", *(base64.b64encode(part).decode() for part in (salt, derived))))
    await store.execute("update identity.console_user set password = $1", record)
    with pytest.raises(NotAuthenticated):
        await users.sign_in("administrator", "wrong")
    assert await store.fetchval("select password from identity.console_user") == record
    await users.sign_in("administrator", PASSWORD)
    renewed = await store.fetchval("select password from identity.console_user")
    assert renewed.startswith("$argon2id$")
    await users.sign_in("administrator", PASSWORD)
    assert await store.fetchval("select password from identity.console_user") == renewed
    dearer = ConsoleUsers(store, passwords=Passwords(PasswordHasher(time_cost=2, memory_cost=8, parallelism=1)))
    await dearer.sign_in("administrator", PASSWORD)
    assert "t=2" in await store.fetchval("select password from identity.console_user")


async def test_wrong_name_and_wrong_password_look_the_same_and_five_failures_lock_either(users, administrator):
    await users.set_password(administrator.user_id, PASSWORD)
    told = set()
    for name in ("administrator", "nobody"):
        for _ in range(5):
            with pytest.raises(NotAuthenticated) as wrong:
                await users.sign_in(name, "wrong password", address="192.0.2.1")
            told.add(wrong.value.detail)
        with pytest.raises(Throttled) as locked:
            await users.sign_in(name, PASSWORD, address="192.0.2.1")
        told.add(locked.value.code)
        assert 1 <= locked.value.retry_after <= 30
    assert len(told) == 2


async def test_guesses_all_at_once_are_counted_like_those_in_turn(users, administrator):
    await users.set_password(administrator.user_id, PASSWORD)
    guesses = [users.sign_in("administrator", f"wrong {number}", address="192.0.2.1") for number in range(20)]
    ended = [type(end) for end in await asyncio.gather(*guesses, return_exceptions=True)]
    assert (ended.count(NotAuthenticated), ended.count(Throttled)) == (5, 15)


async def test_a_guesser_locks_neither_the_owner_elsewhere_nor_a_known_browser_beside_them(users, store, administrator):
    cookie = await users.set_password(administrator.user_id, PASSWORD)
    browser = await users.remember_browser(cookie, None)
    assert await users.remember_browser(cookie, browser) is None
    for _ in range(5):
        with pytest.raises(NotAuthenticated):
            await users.sign_in("administrator", "wrong", address="192.0.2.1")
    with pytest.raises(Throttled):
        await users.sign_in("administrator", PASSWORD, address="192.0.2.1", browser="made up")
    assert await users.sign_in("administrator", PASSWORD, address="198.51.100.7")
    assert await users.sign_in("administrator", PASSWORD, address="192.0.2.1", browser=browser)
    assert browser not in str(await store.fetch("select * from identity.console_browser"))


async def test_a_known_browser_guesses_no_more_often_than_others_and_is_known_for_its_own_name_only(
    users, store, administrator
):
    browser = await users.remember_browser(await users.set_password(administrator.user_id, PASSWORD), None)
    await add(users, store, "kim", "view")
    for name in ("administrator", "kim"):
        for _ in range(5):
            with pytest.raises(NotAuthenticated):
                await users.sign_in(name, "wrong", address="192.0.2.1", browser=browser)
        with pytest.raises(Throttled):
            await users.sign_in(name, PASSWORD, address="192.0.2.1", browser=browser)
    assert await users.sign_in("administrator", PASSWORD, address="192.0.2.1")
    with pytest.raises(Throttled):
        await users.sign_in("kim", PASSWORD, address="192.0.2.1")


async def test_one_password_tried_at_many_names_locks_the_address(users):
    for number in range(50):
        with pytest.raises(NotAuthenticated):
            await users.sign_in(f"person-{number}", "summer2026", address="192.0.2.1")
    with pytest.raises(Throttled):
        await users.sign_in("person-50", "summer2026", address="192.0.2.1")
    with pytest.raises(NotAuthenticated):
        await users.sign_in("person-50", "summer2026", address="192.0.2.2")


async def test_a_lock_ends_and_a_right_password_forgives(users, store, administrator):
    await users.set_password(administrator.user_id, PASSWORD)
    for _ in range(5):
        with pytest.raises(NotAuthenticated):
            await users.sign_in("administrator", "wrong")
    await store.execute("update identity.console_attempt set locked_until = clock_timestamp()")
    assert await users.sign_in("administrator", PASSWORD)
    with pytest.raises(NotAuthenticated):
        await users.sign_in("administrator", "wrong")


async def test_a_user_without_a_password_cannot_sign_in_with_an_empty_one(users, administrator):
    for password in ("", "AAAA", "\0" * 32):
        with pytest.raises(NotAuthenticated):
            await users.sign_in("administrator", password)


async def test_an_invited_user_has_only_its_roles_until_disabled(users, store):
    cookie = await users.sign_in_with_token(await by(store, "add", "kim", frozenset({"repair"})))
    assert (await users.session(cookie)).roles == {"repair", "view"}
    for name, roles, error in (("kim", {"view"}, Conflict), ("lee", {"root"}, Invalid), ("lee", set(), Invalid)):
        with pytest.raises(error):
            await by(store, "add", name, frozenset(roles))
    for name in ("", " kim", "a\nb", "x" * 81):
        with pytest.raises(Invalid):
            await by(store, "add", name, frozenset({"view"}))
    await by(store, "disable", "kim")
    assert await users.session(cookie) is None
    token = await by(store, "enable", "kim")
    assert await users.session(cookie) is None
    assert await users.sign_in_with_token(token)
    with pytest.raises(NotFound):
        await by(store, "disable", "nobody")


async def test_a_new_token_ends_the_password_that_was_lost(users, store, administrator):
    await add(users, store, "kim", "view")
    token = await by(store, "invite", "kim")
    assert await users.sign_in("kim", PASSWORD)
    assert not (await users.session(await users.sign_in_with_token(token))).has_password
    with pytest.raises(NotAuthenticated):
        await users.sign_in("kim", PASSWORD)


async def test_roles_change_in_open_sessions(users, store, administrator):
    cookie = await add(users, store, "kim", "view")
    await by(store, "set_roles", "kim", frozenset({"approve"}))
    assert (await users.session(cookie)).roles == {"approve", "view"}


async def test_the_last_administrator_who_can_sign_in_stays(users, store, administrator):
    await users.set_password(administrator.user_id, PASSWORD)
    await by(store, "add", "invited only", frozenset({"administer"}))
    for verb, given in (("disable", ()), ("set_roles", (frozenset({"view", "approve"}),))):
        with pytest.raises(Conflict) as refused:
            await by(store, verb, "administrator", *given)
        assert refused.value.code == "console.last_administrator"
    await add(users, store, "kim", "administer")
    await by(store, "disable", "administrator")
    with pytest.raises(Conflict):
        await by(store, "disable", "kim")


async def test_two_administrators_who_disable_each_other_at_once_leave_one(users, store, administrator):
    await users.set_password(administrator.user_id, PASSWORD)
    await add(users, store, "kim", "administer")
    ended = await asyncio.gather(
        *(by(store, "disable", name) for name in ("kim", "administrator")), return_exceptions=True
    )
    assert sorted(type(end).__name__ for end in ended) == ["Conflict", "NoneType"]


async def test_roles_of_people_from_outside_are_changed_outside(users, store):
    person = OutsidePerson(issuer="https://login.example", subject="u-1", name="kim", roles=frozenset({"view"}))
    user = await users.session(await users.sign_in_from_outside(person))
    for verb, given in (("set_roles", (frozenset({"approve"}),)), ("invite", ())):
        with pytest.raises(Conflict):
            await by(store, verb, "kim", *given)
    with pytest.raises(NotAllowed):
        await users.set_password(user.user_id, PASSWORD)


async def test_every_change_of_a_person_is_in_the_audit_trail(users, store, administrator):
    await by(store, "add", "kim", frozenset({"view"}))
    await by(store, "set_roles", "kim", frozenset({"repair"}))
    await by(store, "invite", "kim")
    await by(store, "end_sessions", "kim")
    await by(store, "disable", "kim")
    await by(store, "enable", "kim")
    rows = await store.fetch("select actor, action, subject, detail from store.audit order by id")
    assert [row["action"].removeprefix("console.user_") for row in rows] == [
        "add",
        "roles",
        "invite",
        "sign_out",
        "disable",
        "enable",
    ]
    assert {(row["actor"], row["subject"]) for row in rows} == {("console/administrator", "kim")}
    assert '"before"' in rows[1]["detail"]


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
