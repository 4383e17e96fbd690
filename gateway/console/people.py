"""The page of who may use the console, for the role ``administer``: each form is one audited change."""

from collections.abc import Mapping
from typing import Any, Final

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from msgspec import Struct

from gateway.console.access import actor_of, form_of, user_of
from gateway.console.answers import html, see_other, status_of
from gateway.console.rendering import Pages
from gateway.identity.console_people import ORDERED_ROLES, People, Person
from gateway.identity.console_users import ConsoleUser
from gateway.kernel.errors import Conflict, Invalid, NotFound
from gateway.store.postgres import Store

_ADMINISTER: Final = {"role": "administer"}
_GIVEN: Final = ORDERED_ROLES[1:]
_LONGEST: Final = 400


class OneTimeToken(Struct, frozen=True):
    """Shown once, on the page that answers the form."""

    name: str
    value: str

    def __repr__(self) -> str:
        return f"OneTimeToken({self.name})"


class PeopleDesk:
    """Does what a form says, in one transaction."""

    def __init__(self, store: Store, tenant: str, *, idle: float) -> None:
        self._store = store
        self._tenant = tenant
        self._idle = idle

    async def everybody(self, user: ConsoleUser) -> list[Person]:
        """All people, as the page lists them."""
        async with self._store.transaction() as connection:
            return await self._people(connection, user).everybody(idle=self._idle)

    async def do(self, verb: str, user: ConsoleUser, fields: Mapping[str, str]) -> OneTimeToken | None:
        """One change; raises `NotFound`, `Conflict` or `Invalid`."""
        name = fields.get("name", "").strip()[:_LONGEST]
        roles = frozenset({"view", *(role for role in _GIVEN if role in fields)})
        async with self._store.transaction() as connection:
            people = self._people(connection, user)
            token = None
            if verb == "add":
                token = await people.add(name, roles)
            elif verb == "roles":
                await people.set_roles(name, roles)
            elif verb == "invite":
                token = await people.invite(name)
            elif verb == "enable":
                token = await people.enable(name)
            elif verb == "disable":
                await people.disable(name)
            elif verb == "sign-out":
                await people.end_sessions(name)
            else:
                raise NotFound("there is no such change", code="console.verb")
        return None if token is None else OneTimeToken(name, token)

    def _people(self, connection: Any, user: ConsoleUser) -> People:
        return People(connection, tenant=self._tenant, actor=actor_of(user))


def people_routes(pages: Pages, desk: PeopleDesk, provider: str | None = None) -> list[HTTPRouteHandler]:
    """Handlers of the page. `provider` is what the OpenID provider is called here."""

    async def page(user: ConsoleUser, problem: Exception | None = None, token: OneTimeToken | None = None) -> Any:
        context = {
            "user": user,
            "people": await desk.everybody(user),
            "given": _GIVEN,
            "problem": getattr(problem, "detail", None),
            "token": token,
            "provider": provider,
        }
        return html(pages.render("people.html", context), 200 if problem is None else status_of(problem))

    @get("/people", opt=_ADMINISTER)
    async def show_people(request: Request[Any, Any, Any]) -> Response[Any]:
        answer: Response[Any] = await page(user_of(request))
        return answer

    @post("/people/{verb:str}", opt=_ADMINISTER)
    async def change_people(request: Request[Any, Any, Any], verb: FromPath[str]) -> Response[Any]:
        user = user_of(request)
        answer: Response[Any]
        try:
            token = await desk.do(verb, user, form_of(request))
        except (Conflict, Invalid) as error:
            answer = await page(user, error)
            return answer
        if token is None:
            return see_other("/people")
        answer = await page(user, token=token)
        return answer

    return [show_people, change_people]
