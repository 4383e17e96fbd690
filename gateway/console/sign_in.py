"""Signing in and out: a one-time token for the first administrator, then name and password."""

import hmac
from collections.abc import Mapping
from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler

from gateway.console.access import Access, form_of, user_of
from gateway.console.answers import html, see_other, status_of
from gateway.console.reading import Reading
from gateway.console.rendering import Pages
from gateway.identity.console_users import ConsoleUser, ConsoleUsers
from gateway.identity.openid_sign_in import OpenIdSignIn
from gateway.kernel.errors import Conflict, CrossdockError, Invalid, NotAllowed, NotAuthenticated, Throttled
from gateway.kernel.secrets import Secret

SIGN_IN: Final = "/sign-in"
_LONGEST: Final = 1_000


class Tokens:
    """One-time tokens: invitations, and the bootstrap secret until somebody has a password."""

    def __init__(self, users: ConsoleUsers, bootstrap: Secret | None) -> None:
        self._users = users
        self._bootstrap = bootstrap

    async def use(self, token: str) -> str:
        """The value of a new session's cookie. Raises `NotAuthenticated`."""
        if self._bootstrap is not None and hmac.compare_digest(token.encode(), self._bootstrap.reveal().encode()):
            invitation = await self._users.bootstrap_token()
            if invitation is None:
                raise NotAuthenticated(
                    "the bootstrap token was used: sign in with a name and a password", code="console.bootstrap_used"
                )
            return await self._users.sign_in_with_token(invitation)
        return await self._users.sign_in_with_token(token)


class Doors:
    """What the handlers around a session share."""

    def __init__(
        self,
        pages: Pages,
        access: Access,
        users: ConsoleUsers,
        tokens: Tokens,
        reading: Reading,
        openid: OpenIdSignIn | None = None,
    ) -> None:
        self.pages = pages
        self.access = access
        self.users = users
        self.tokens = tokens
        self.openid = openid
        self._reading = reading

    async def form(self, request: Request[Any, Any, Any], problem: CrossdockError | None = None) -> Response[str]:
        """The page to sign in on, with what went wrong."""
        token = self.access.form_token(request)
        context = {
            "csrf_token": token,
            "problem": None if problem is None else problem.detail,
            "first": not await self._reading.anybody(),
            "provider": None if self.openid is None else self.openid.name,
        }
        response = html(self.pages.render("sign_in.html", context), 200 if problem is None else status_of(problem))
        self.access.remember_form(response, token)
        return response

    async def begun(self, request: Request[Any, Any, Any], session: str, location: str) -> Response[None]:
        """On with a new session; the one that this browser had ends."""
        before = self.access.session_cookie(request)
        if before is not None:
            await self.users.sign_out(before)
        response = see_other(location)
        self.access.begin(response, session)
        browser = await self.users.remember_browser(session, self.access.browser_cookie(request))
        if browser is not None:
            self.access.remember_browser(response, browser)
        return response

    async def check_password(self, request: Request[Any, Any, Any], name: str, password: str) -> str:
        """The cookie of a new session. Raises `NotAuthenticated` or `Throttled`."""
        address = request.client.host if request.client is not None else ""
        browser = self.access.browser_cookie(request)
        return await self.users.sign_in(name[:200], password[:_LONGEST], address=address, browser=browser)

    async def new_password(self, request: Request[Any, Any, Any], user: ConsoleUser, fields: Mapping[str, str]) -> str:
        """Set what the form says; returns the value of the new session's cookie."""
        if user.has_password:
            await self.check_password(request, user.name, fields.get("current", ""))
        if fields.get("password") != fields.get("again"):
            raise Invalid("the two entries differ: type the same password twice", code="console.password_differs")
        return await self.users.set_password(user.user_id, fields.get("password", "")[:_LONGEST])


def sign_in_routes(doors: Doors) -> list[HTTPRouteHandler]:
    """Handlers that begin and end a session."""

    @get(SIGN_IN, opt={"public": True})
    async def show_sign_in(request: Request[Any, Any, Any]) -> Response[str]:
        return await doors.form(request)

    @post("/sign-in", opt={"public": True})
    async def sign_in(request: Request[Any, Any, Any]) -> Response[Any]:
        fields = form_of(request)
        try:
            session = await doors.check_password(request, fields.get("name", ""), fields.get("password", ""))
        except (NotAuthenticated, Throttled) as error:
            return await doors.form(request, error)
        return await doors.begun(request, session, "/")

    @post("/sign-in/token", opt={"public": True})
    async def sign_in_with_token(request: Request[Any, Any, Any]) -> Response[Any]:
        try:
            session = await doors.tokens.use(form_of(request).get("token", "").strip()[:200])
        except (Conflict, NotAuthenticated) as error:
            return await doors.form(request, error)
        return await doors.begun(request, session, "/password")

    @post("/sign-out", opt={"before_password": True})
    async def sign_out(request: Request[Any, Any, Any]) -> Response[Any]:
        cookie = doors.access.session_cookie(request)
        if cookie is not None:
            await doors.users.sign_out(cookie)
        place = None if doors.openid is None or not user_of(request).outside else await doors.openid.sign_out()
        # A page, not a redirect: browsers hold what follows a form to ``form-action``, redirects to others included.
        left = {"place": place, "provider": None if doors.openid is None else doors.openid.name}
        response: Response[Any] = see_other(SIGN_IN) if place is None else html(doors.pages.render("left.html", left))
        doors.access.end(response)
        return response

    return [show_sign_in, sign_in, sign_in_with_token, sign_out]


def password_routes(doors: Doors) -> list[HTTPRouteHandler]:
    """Handlers of choosing a password."""

    def form(user: ConsoleUser, problem: CrossdockError | None) -> Response[str]:
        context = {"user": user, "problem": None if problem is None else problem.detail}
        return html(doors.pages.render("password.html", context), 200 if problem is None else status_of(problem))

    @get("/password", opt={"before_password": True})
    async def show_password(request: Request[Any, Any, Any]) -> Response[str]:
        return form(user_of(request), None)

    @post("/password", opt={"before_password": True})
    async def set_password(request: Request[Any, Any, Any]) -> Response[Any]:
        user = user_of(request)
        try:
            return await doors.begun(request, await doors.new_password(request, user, form_of(request)), "/")
        except (Invalid, NotAllowed, NotAuthenticated, Throttled) as error:
            return form(user, error)

    return [show_password, set_password]
