"""Who may do what: session, role, and that a form was ours. One guard before every handler, closed by default.

A handler's `opt` says what it asks: ``public`` (no session), ``role`` (default view), ``before_password`` (the page
where a person who signed in with a one-time token chooses a password, and nothing else).
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, urlsplit

from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from gateway.identity.console_users import BROWSER_KNOWN_FOR, ConsoleUser, ConsoleUsers
from gateway.kernel.context import Caller, Principal, Zone
from gateway.kernel.errors import Invalid, NotAllowed, NotAuthenticated
from gateway.kernel.ids import new_id

CSRF_FIELD: Final = "csrf_token"
_MOST_FIELDS: Final = 20
_USER: Final = "console_user"
_FORM: Final = "console_form"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class PasswordMissing(NotAuthenticated):
    """Signed in with a one-time token: choose a password first."""

    default_code = "console.password_missing"


class Access:
    """The guard, and the cookies that it reads. `https` makes them `Secure`, with the ``__Host-`` prefix."""

    def __init__(self, users: ConsoleUsers, *, https: bool) -> None:
        self._users = users
        self._https = https
        prefix = "__Host-" if https else ""
        self._session = f"{prefix}crossdock_session"
        self._form = f"{prefix}crossdock_form"
        self._browser = f"{prefix}crossdock_browser"
        self._openid = f"{prefix}crossdock_openid"

    async def admit(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Raise `NotAuthenticated` or `NotAllowed` unless the request may reach its handler."""
        changes = connection.scope.get("method") not in _SAFE
        if changes:
            _refuse_foreign(connection.headers)
        user = None
        if not handler.opt.get("public"):
            user = await self._signed_in(connection)
            if not user.may_enter and not handler.opt.get("before_password"):
                raise PasswordMissing("choose a password first")
            role = handler.opt.get("role", "view")
            if role not in user.roles:
                raise NotAllowed(f"this needs the role {role}: ask an administrator", code="console.role")
            connection.state[_USER] = user
        if changes:
            form = await _fields(connection)
            expected = user.csrf_token if user is not None else connection.cookies.get(self._form, "")
            if not expected or not hmac.compare_digest(expected.encode(), form.get(CSRF_FIELD, "").encode()):
                raise NotAllowed("this form is too old or not ours: load the page again", code="console.csrf")
            connection.state[_FORM] = form

    async def _signed_in(self, connection: ASGIConnection[Any, Any, Any, Any]) -> ConsoleUser:
        cookie = connection.cookies.get(self._session)
        user = await self._users.session(cookie) if cookie else None
        if user is None:
            raise NotAuthenticated("sign in first", code="console.signed_out")
        return user

    def session_cookie(self, request: Request[Any, Any, Any]) -> str | None:
        """The value of the session cookie, as sent."""
        return request.cookies.get(self._session)

    def form_token(self, request: Request[Any, Any, Any]) -> str:
        """The token of a form that is shown to somebody who is not signed in: the one its cookie has, or a new one."""
        sent = request.cookies.get(self._form, "")
        return sent if len(sent) >= 20 and sent.isascii() else secrets.token_urlsafe(20)  # noqa: PLR2004

    def remember_form(self, response: Response[Any], token: str) -> None:
        """Keep the token of such a form in a cookie beside it."""
        self._set(response, self._form, token)

    def begin(self, response: Response[Any], session: str) -> None:
        """Give the session cookie out."""
        self._set(response, self._session, session)

    def browser_cookie(self, request: Request[Any, Any, Any]) -> str | None:
        """The cookie of a browser that signed in before, as sent."""
        return request.cookies.get(self._browser)

    def remember_browser(self, response: Response[Any], browser: str) -> None:
        """Know this browser again at its next sign-in."""
        self._set(response, self._browser, browser, max_age=BROWSER_KNOWN_FOR)

    def openid_secret(self, request: Request[Any, Any, Any]) -> str | None:
        """What this browser was given when it was sent to the OpenID provider."""
        return request.cookies.get(self._openid)

    def remember_openid(self, response: Response[Any], secret: str, seconds: int) -> None:
        """Have the browser bring `secret` back from the provider: ``lax``, because it comes back from another site."""
        self._set(response, self._openid, secret, max_age=seconds, samesite="lax")

    def forget_openid(self, response: Response[Any]) -> None:
        """One answer for one question."""
        self._set(response, self._openid, "", max_age=0, samesite="lax")

    def end(self, response: Response[Any]) -> None:
        """Take it back."""
        self._set(response, self._session, "", max_age=0)

    def _set(
        self,
        response: Response[Any],
        name: str,
        value: str,
        *,
        max_age: int | None = None,
        samesite: Literal["lax", "strict"] = "strict",
    ) -> None:
        response.set_cookie(
            name, value, max_age=max_age, path="/", secure=self._https, httponly=True, samesite=samesite
        )


def user_of(request: Request[Any, Any, Any]) -> ConsoleUser:
    """Who is signed in; the guard put them there."""
    user: ConsoleUser = request.state[_USER]
    return user


def form_of(request: Request[Any, Any, Any]) -> Mapping[str, str]:
    """The fields of the form that the guard found to be ours."""
    form: Mapping[str, str] = request.state[_FORM]
    return form


def caller_of(user: ConsoleUser, tenant: str, deadline: float) -> Caller:
    """The person as processes see a caller: `subject` is what the audit trail names."""
    request_id = new_id("req")
    principal = Principal(
        tenant=tenant,
        subject=actor_of(user),
        credential=f"console/{user.user_id}",
        zones=frozenset({Zone.PROCESS}),
        scopes=frozenset({"orders:repair", "notifications:repair", "exceptions:repair"}),
    )
    return Caller(principal=principal, request_id=request_id, correlation_id=request_id, deadline=deadline)


def actor_of(user: ConsoleUser) -> str:
    """How the audit trail names a person."""
    return f"console/{user.name}"


def _refuse_foreign(headers: Mapping[str, str]) -> None:
    """What a browser says about where a form came from, on top of the token (`Sec-Fetch-Site`, `Origin`)."""
    site = headers.get("sec-fetch-site")
    origin = headers.get("origin")
    if site is not None:
        foreign = site not in ("same-origin", "none")
    else:
        foreign = origin is not None and urlsplit(origin).netloc != headers.get("host")
    if foreign:
        raise NotAllowed("this form was sent from another site", code="console.csrf")


async def _fields(connection: ASGIConnection[Any, Any, Any, Any]) -> dict[str, str]:
    if not isinstance(connection, Request):
        raise NotAllowed("only forms are taken", code="console.csrf")
    if not connection.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise Invalid("send a form", code="console.form")
    try:
        text = (await connection.body()).decode()
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise Invalid("this is not a form that can be read", code="console.form") from error
    fields = dict(pairs)
    if len(fields) != len(pairs) or any("\0" in value for value in fields.values()):
        raise Invalid("this is not a form that can be read", code="console.form")
    return fields
