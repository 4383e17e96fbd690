"""Signing in at an OpenID provider: out to it, and back with its answer."""

from typing import Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from gateway.console.answers import html, see_other
from gateway.console.sign_in import Doors
from gateway.identity.openid_sign_in import HANDSHAKE_S, OpenIdSignIn
from gateway.kernel.errors import Conflict, NotAllowed, NotAuthenticated, Unavailable

CALLBACK = "/sign-in/openid/back"


def openid_routes(doors: Doors, openid: OpenIdSignIn) -> list[HTTPRouteHandler]:
    """Handlers of the two halves. Neither believes anything of a session that the browser had."""

    @get("/sign-in/openid", opt={"public": True})
    async def leave_for_provider(request: Request[Any, Any, Any]) -> Response[Any]:
        try:
            url, secret = await openid.begin()
        except Unavailable as error:
            return await doors.form(request, error)
        response = see_other(url)
        doors.access.remember_openid(response, secret, HANDSHAKE_S)
        return response

    @get(CALLBACK, opt={"public": True})
    async def come_back(request: Request[Any, Any, Any]) -> Response[Any]:
        secret = doors.access.openid_secret(request)
        try:
            person = await openid.finish(secret, dict(request.query_params.items()))
            session = await doors.users.sign_in_from_outside(person)
        except (Conflict, NotAllowed, NotAuthenticated, Unavailable) as error:
            refused = await doors.form(request, error)
            doors.access.forget_openid(refused)
            return refused
        # A redirect would not carry the new cookie: whoever begins it is the provider's page, and the cookie is
        # ``strict``. This page of ours begins the next request itself.
        response = html(doors.pages.render("arrived.html", {"name": person.name}))
        doors.access.begin(response, session)
        doors.access.forget_openid(response)
        return response

    return [leave_for_provider, come_back]
