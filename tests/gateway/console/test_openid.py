"""Signing in at an OpenID provider: what is asked, what is believed, what is not, and what a session is worth."""

import asyncio
import html
import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from gateway.console.app import make_console
from gateway.console.openid import CALLBACK
from gateway.identity.console_people import People
from gateway.identity.console_users import SessionTimes
from gateway.identity.openid_options import OpenIdOptions
from gateway.identity.openid_sign_in import OpenIdSignIn
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import Misconfigured
from gateway.kernel.secrets import Secret
from gateway.outbound.door import Outbound

from .conftest import BOOTSTRAP, TENANT, Messages, Orders, client_of, csrf_in
from .small_provider import STRANGER, SmallProvider

BACK = f"https://console.test{CALLBACK}"
AFTER = "https://console.test/sign-in"
ROLES = {"ops": ("view",), "leads": ("repair", "approve"), "owners": ("administer",)}


class MovingClock(SystemClock):
    ahead = 0.0

    def now(self):
        return super().now() + timedelta(seconds=self.ahead)

    def monotonic(self):
        return super().monotonic() + self.ahead


class Installation:
    """The console with a provider that people of it can sign in at."""

    def __init__(self, store, provider, outbound, clock, **options):
        self.store, self.provider, self.clock = store, provider, clock
        given = {"issuer": provider.url, "client_id": "crossdock-console", "roles": ROLES, **options}
        secret = Secret("s3cret/")
        self.openid = OpenIdSignIn(
            OpenIdOptions(**given), secret, BACK, outbound=outbound, clock=clock, signed_out_uri=AFTER
        )
        self.app = make_console(
            store=store,
            clock=clock,
            tenant=TENANT,
            orders=Orders(),
            messages=Messages(),
            bootstrap=Secret(BOOTSTRAP),
            openid=self.openid,
            sessions=SessionTimes(lifetime_seconds=1_000, idle_seconds=100),
        )

    async def sign_in(self, client, **changed):
        """Out to the provider and back; `changed` is what comes back otherwise (None: not at all)."""
        away = await client.get("/sign-in/openid")
        assert away.status_code == 303, away.text
        answer = {**self.provider.visit(away.headers["location"]), **changed}
        return await client.get(CALLBACK, params={name: value for name, value in answer.items() if value is not None})


@pytest.fixture
async def provider():
    provider = SmallProvider()
    await provider.start()
    yield provider
    await provider.stop()


@pytest.fixture
async def make_installation(store, provider):
    clock = MovingClock()
    made = []
    async with Outbound(clock) as outbound:

        def make(**options):
            made.append(Installation(store, provider, outbound, clock, **options))
            return made[-1]

        yield make
        await asyncio.gather(*(each.openid.close() for each in made))


@pytest.fixture
def installation(make_installation):
    return make_installation()


async def entries(store, table="identity.console_session"):
    return await store.fetchval(f"select count(*) from {table}")


@pytest.mark.integration
async def test_a_person_signs_in_with_the_roles_that_their_groups_give(installation, provider):
    async with client_of(installation.app) as client:
        assert "Sign in with the company account" in (await client.get("/sign-in")).text
        arrived = await installation.sign_in(client)
        assert arrived.status_code == 200
        assert 'http-equiv="refresh" content="0; url=/"' in arrived.text
        page = await client.get("/")
        assert page.status_code == 200
        assert "kim" in page.text
        assert '<span class="roles">view</span>' in page.text
        token = csrf_in(page.text)
        assert (await client.post("/exceptions/exc_1/retry", data={"csrf_token": token})).status_code == 403
    provider.claims = {"groups": "leads"}
    async with client_of(installation.app) as client:
        await installation.sign_in(client)
        assert "approve, repair, view" in (await client.get("/")).text
    assert await entries(installation.store, "identity.console_user") == 1


@pytest.mark.integration
async def test_what_the_provider_is_asked_has_state_nonce_and_a_challenge_and_they_are_new_each_time(
    installation, provider
):
    asked = []
    async with client_of(installation.app) as client:
        for _ in range(2):
            location = (await client.get("/sign-in/openid")).headers["location"]
            asked.append({name: values[0] for name, values in parse_qs(urlsplit(location).query).items()})
            assert location.startswith(f"{provider.url}/auth?tenant=x&")
    first, second = asked
    assert first["redirect_uri"] == BACK
    assert (first["response_type"], first["code_challenge_method"], first["scope"]) == (
        "code",
        "S256",
        "openid profile",
    )
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name]) == 43
        assert first[name] != second[name]


@pytest.mark.integration
async def test_the_cookie_of_the_way_there_is_lax_short_and_gone_after_the_way_back(installation):
    async with client_of(installation.app) as client:
        there = (await client.get("/sign-in/openid")).headers["set-cookie"].lower()
        assert {"httponly", "samesite=lax", "max-age=600"} <= set(there.split("; "))
        back = (await installation.sign_in(client)).headers.get_list("set-cookie")
        ours = next(cookie for cookie in back if cookie.startswith("crossdock_session="))
        assert "samesite=strict" in ours.lower()
        assert "crossdock_openid" not in client.cookies


FALSE_TOKENS = [
    ({"nonce": "another"}, {}),
    ({"nonce": None}, {}),
    ({"iss": "https://evil.test"}, {}),
    ({"aud": "another-client"}, {}),
    ({"aud": ["crossdock-console", "another"]}, {}),
    ({"azp": "another-client"}, {}),
    ({"exp": 1_000_000_000}, {}),
    ({"exp": None}, {}),
    ({"sub": None}, {}),
    ({"iat": 4_000_000_000}, {}),
    ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, {}),
    ({}, {"kid": "unknown"}),
    ({}, {"jku": "https://evil.test/jwks"}),
    ({}, {"typ": "at+jwt"}),
]


@pytest.mark.integration
async def test_an_id_token_that_does_not_hold_signs_nobody_in(installation, provider):
    async with client_of(installation.app) as client:
        for provider.claims, provider.header in FALSE_TOKENS:
            answer = await installation.sign_in(client)
            assert answer.status_code == 401, (provider.claims, provider.header)
            assert "does not hold" in answer.text
            assert "crossdock_session" not in client.cookies
        assert await entries(installation.store) == 0
        provider.claims = provider.header = {}
        assert (await installation.sign_in(client)).status_code == 200


@pytest.mark.integration
async def test_tokens_of_another_key_or_none_sign_nobody_in(installation, provider):
    async with client_of(installation.app) as client:
        provider.key = STRANGER
        assert (await installation.sign_in(client)).status_code == 401
        body = jwt.decode(provider.id_token(), options={"verify_signature": False})
        for forged in (
            jwt.encode(body, None, "none"),
            jwt.encode(body, "crossdock-console" * 2, "HS256", headers={"kid": "k1"}),
        ):
            provider.id_token = lambda forged=forged: forged
            assert (await installation.sign_in(client)).status_code == 401
    assert await entries(installation.store) == 0


@pytest.mark.integration
async def test_an_answer_that_was_not_asked_for_signs_nobody_in(installation):
    other = {"iss": "https://evil.test"}
    false = [{"state": "A" * 43}, {"state": None}, {"state": "ü"}, other, {"iss": None}, {"code": None}]
    async with client_of(installation.app) as client:
        for changed in false:
            assert (await installation.sign_in(client, **changed)).status_code == 401, changed
    assert await entries(installation.store) == 0


@pytest.mark.integration
async def test_a_refusal_of_the_provider_is_told_without_its_words(installation):
    async with client_of(installation.app) as client:
        answer = await installation.sign_in(client, code=None, error="access_denied<script>", error_description="evil")
    assert answer.status_code == 401
    assert "did not sign you in" in answer.text
    assert "evil" not in answer.text
    assert "access_denied" not in answer.text


@pytest.mark.integration
async def test_an_answer_fits_only_the_browser_that_asked_and_only_for_ten_minutes(installation, provider):
    async with client_of(installation.app) as asker, client_of(installation.app) as other:
        answer = provider.visit((await asker.get("/sign-in/openid")).headers["location"])
        assert (await other.get(CALLBACK, params=answer)).status_code == 401
        await other.get("/sign-in/openid")
        assert (await other.get(CALLBACK, params=answer)).status_code == 401
        installation.clock.ahead = 601
        late = await asker.get(CALLBACK, params=answer)
        assert late.status_code == 401
        assert "took too long" in late.text


@pytest.mark.integration
async def test_a_code_of_another_handshake_is_refused_by_its_verifier(installation, provider):
    async with client_of(installation.app) as victim, client_of(installation.app) as thief:
        stolen = provider.visit((await victim.get("/sign-in/openid")).headers["location"])
        challenge = provider._challenge
        own = provider.visit((await thief.get("/sign-in/openid")).headers["location"])
        provider._challenge = challenge
        answer = await thief.get(CALLBACK, params={**own, "code": stolen["code"]})
    assert answer.status_code == 401
    assert "did not accept this sign-in" in answer.text


@pytest.mark.integration
async def test_a_person_without_a_role_is_told_what_to_ask_for(installation, provider):
    async with client_of(installation.app) as client:
        for groups in (None, [], ["guests"], [1, {"ops": True}], "operators"):
            provider.claims = {"groups": groups}
            answer = await installation.sign_in(client)
            assert answer.status_code == 403
            assert "kim has no role here" in answer.text
    assert await entries(installation.store, "identity.console_user") == 0


@pytest.mark.integration
async def test_claims_that_are_only_in_userinfo_count_when_they_are_about_the_same_person(installation, provider):
    provider.claims = {"groups": None, "preferred_username": None}
    provider.userinfo = {"sub": "u-1", "groups": ["leads"], "preferred_username": "lee", "iss": "https://evil.test"}
    async with client_of(installation.app) as client:
        assert "Signed in as lee" in (await installation.sign_in(client)).text
        provider.userinfo = {**provider.userinfo, "sub": "u-2"}
        assert (await installation.sign_in(client)).status_code == 401


@pytest.mark.integration
async def test_a_provider_that_is_down_or_lies_about_itself_gives_a_clear_page(installation, provider):
    lies = ({"issuer": "https://evil.test"}, {"token_endpoint": "http://evil.test/token"})
    async with client_of(installation.app) as client:
        for provider.mode, provider.metadata in (("failing", {}), *(("answering", lie) for lie in lies)):
            answer = await client.get("/sign-in/openid")
            assert answer.status_code == 503
            assert "the company account does not answer" in answer.text
            installation.clock.ahead += 10
        provider.metadata = {}
        away = await client.get("/sign-in/openid")
        assert away.status_code == 303
        provider.mode = "failing"
        back = await client.get(CALLBACK, params=provider.visit(away.headers["location"]))
        assert back.status_code == 503
        assert "does not answer" in back.text


@pytest.mark.integration
async def test_a_session_is_new_at_each_sign_in_and_a_planted_cookie_is_not_adopted(installation):
    planted = "planted-by-somebody-else-in-this-browser"
    async with client_of(installation.app) as client:
        client.cookies.set("crossdock_session", planted, domain="console.test")
        await installation.sign_in(client)
        first = next(cookie.value for cookie in client.cookies.jar if cookie.value != planted)
    async with client_of(installation.app, cookie=f"crossdock_session={planted}") as client:
        assert (await client.get("/")).headers["location"] == "/sign-in"
    async with client_of(installation.app) as client:
        await installation.sign_in(client)
        assert client.cookies["crossdock_session"] != first


@pytest.mark.integration
async def test_sessions_end_by_signing_out_idling_age_and_an_administrators_word(installation):
    store = installation.store
    async with client_of(installation.app) as client:

        async def signed_in():
            return (await client.get("/")).status_code == 200

        await installation.sign_in(client)
        token = csrf_in((await client.get("/")).text)
        cookie = client.cookies["crossdock_session"]
        await client.post("/sign-out", data={"csrf_token": token})
        assert "crossdock_session" not in client.cookies
        client.cookies.set("crossdock_session", cookie, domain="console.test")
        assert not await signed_in()
        client.cookies.clear()
        for column, seconds in (("seen_at", 101), ("expires_at", 1_001)):
            await installation.sign_in(client)
            assert await signed_in()
            late = f"update identity.console_session set {column} = {column} - interval '{seconds} seconds'"
            await store.execute(late)
            assert not await signed_in()
            client.cookies.clear()
        await installation.sign_in(client)
        async with store.transaction() as connection:
            await People(connection, tenant=TENANT, actor="cli").end_sessions("kim")
        assert not await signed_in()


@pytest.mark.integration
async def test_a_disabled_person_stays_out_whatever_the_provider_says(installation):
    async with client_of(installation.app) as client:
        await installation.sign_in(client)
        async with installation.store.transaction() as connection:
            await People(connection, tenant=TENANT, actor="cli").disable("kim")
        assert (await client.get("/")).status_code == 303
        refused = await installation.sign_in(client)
        assert refused.status_code == 403
        assert "disabled here" in refused.text


@pytest.mark.integration
async def test_nobody_from_outside_takes_the_name_of_a_person_of_ours(installation, provider):
    async with installation.store.transaction() as connection:
        await People(connection, tenant=TENANT, actor="cli").add("kim", frozenset({"administer"}))
    async with client_of(installation.app) as client:
        await installation.sign_in(client)
        page = (await client.get("/")).text
    assert "kim (u-1)" in page
    assert "administer" not in page


@pytest.mark.integration
async def test_an_administrator_from_outside_ends_the_bootstrap_token(installation, provider):
    provider.claims = {"groups": ["owners"]}
    async with client_of(installation.app) as client:
        await installation.sign_in(client)
    async with client_of(installation.app) as client:
        page = await client.get("/sign-in")
        form = {"csrf_token": csrf_in(page.text), "token": BOOTSTRAP}
        assert (await client.post("/sign-in/token", data=form)).status_code == 401


@pytest.mark.integration
async def test_a_person_from_outside_gets_no_password_here(installation):
    async with client_of(installation.app) as client:
        await installation.sign_in(client)
        form = {"csrf_token": csrf_in((await client.get("/")).text), "password": "x" * 20, "again": "x" * 20}
        answer = await client.post("/password", data=form)
    assert answer.status_code == 403
    assert (
        await installation.store.fetchval("select count(*) from identity.console_user where password is not null") == 0
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "http://login.example"},
        {"scopes": ("profile",)},
        {"algorithms": ("HS256",)},
        {"algorithms": ("none",)},
        {"roles": {}},
        {"roles": {"ops": ("root",)}},
    ],
)
def test_settings_that_could_let_strangers_in_are_refused(changed):
    given = {"issuer": "https://login.example", "client_id": "c", "roles": ROLES, **changed}
    with pytest.raises(Misconfigured):
        OpenIdOptions(**given)


# --- signing out ------------------------------------------------------------------------------------------------------


async def signed_out(installation, client):
    await installation.sign_in(client)
    token = csrf_in((await client.get("/")).text)
    answer = await client.post("/sign-out", data={"csrf_token": token})
    assert await entries(installation.store) == 0
    return answer


@pytest.mark.integration
async def test_who_signs_out_is_sent_on_to_end_the_session_at_the_provider(installation, provider):
    provider.metadata = {"end_session_endpoint": f"{provider.url}/session/end?tenant=x"}
    async with client_of(installation.app) as client:
        left = await signed_out(installation, client)
    assert left.status_code == 200
    place = urlsplit(html.unescape(re.search(r'content="0; url=([^"]+)"', left.text)[1]))
    assert f"{place.scheme}://{place.netloc}{place.path}" == f"{provider.url}/session/end"
    assert parse_qs(place.query) == {
        "tenant": ["x"],
        "client_id": ["crossdock-console"],
        "post_logout_redirect_uri": [AFTER],
    }
    assert "Sign out of the company account too" in left.text
    assert 'crossdock_session=""' in left.headers["set-cookie"] or "Max-Age=0" in left.headers["set-cookie"]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("metadata", "options"),
    [
        pytest.param({}, {}, id="the provider has no such place"),
        pytest.param({"end_session_endpoint": "{}/end"}, {"end_session": False}, id="it is not wanted"),
    ],
)
async def test_elsewhere_signing_out_ends_the_session_here_alone(make_installation, provider, metadata, options):
    provider.metadata = {name: text.format(provider.url) for name, text in metadata.items()}
    installation = make_installation(**options)
    async with client_of(installation.app) as client:
        left = await signed_out(installation, client)
    assert (left.status_code, left.headers["location"]) == (303, "/sign-in")


@pytest.mark.integration
async def test_a_provider_that_is_away_keeps_nobody_signed_in(installation, provider):
    provider.metadata = {"end_session_endpoint": f"{provider.url}/session/end"}
    async with client_of(installation.app) as client:
        await installation.sign_in(client)
        token = csrf_in((await client.get("/")).text)
        provider.mode, installation.openid._provider._metadata = "failing", None
        installation.openid._provider._fetched_at = float("-inf")
        left = await client.post("/sign-out", data={"csrf_token": token})
    assert (left.status_code, left.headers["location"]) == (303, "/sign-in")
    assert await entries(installation.store) == 0


@pytest.mark.integration
async def test_a_place_to_sign_out_at_without_https_is_not_believed(make_installation, provider):
    provider.metadata = {"end_session_endpoint": "http://elsewhere.example/end"}
    async with client_of(make_installation().app) as client:
        assert (await client.get("/sign-in/openid")).status_code == 503
