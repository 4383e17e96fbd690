"""JSON-RPC to Tryton: logs in, logs in again when the session ended, and is where Tryton's errors end.

Source: ``trytond/protocols/{dispatcher,jsonrpc,wrappers}.py`` of Tryton 8.2. ``POST /<database>/rpc/`` with exactly
``id``, ``method`` and ``params``; the last parameter is the context. One request is one database transaction. What
Tryton itself refuses comes as HTTP 200 with an ``error`` member, after its transaction was rolled back:

=====================================================  ==============================================================
``["UserError", [message, description, domain]]``      `Rejected`; `NotAllowed` when it is about access rights;
                                                       `Unavailable` when a button no longer fits a record's state
``["UserWarning", [name, message, description]]``      `Conflict`: a person would be asked to confirm
``["ConcurrencyException", message]``                  `Unavailable`: read it again
``["LoginException", ...]``                            `NotAuthenticated`
``["database is locked", traceback]``                  `Unavailable`: SQLite gave up waiting, nothing was done
``[text, traceback]``                                  `BrokenUpstream`: a fault inside Tryton, nothing was done
HTTP 401 | 403 | 404 | 429                             log in again once | `NotAllowed` | `BrokenUpstream` | `Throttled`
HTTP 5xx or no JSON                                    write: `OutcomeUnknown`; read: `Unavailable`, `BrokenUpstream`
=====================================================  ==============================================================
"""

from __future__ import annotations

import asyncio
import base64
import itertools
from typing import TYPE_CHECKING, Any, Final, NoReturn

from gateway.kernel.errors import (
    BrokenUpstream,
    Conflict,
    CrossdockError,
    NotAllowed,
    NotAuthenticated,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from system_apis.tryton import wire

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.canonical.capabilities import Call
    from gateway.kernel.secrets import Secret
    from gateway.outbound.session import Response, Session

_OK: Final = 200
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500
_LOCKED: Final = "database is locked"
CHANGED_MEANWHILE: Final = "erp.changed_meanwhile"
# English texts of trytond/ir/message.xml; every call asks for English.
_ABOUT_RIGHTS: Final = ("You are not allowed to access", "You are not allowed to")
_ABOUT_STATE: Final = 'You can not call "'


class Client:
    """One user of one Tryton database. Shared by all tasks of an event loop."""

    def __init__(self, session: Session, *, database: str, user: str, password: Secret) -> None:
        self._session = session
        self._path = f"/{database}/rpc/"
        self._database = database
        self._user = user
        self._password = password
        self._authorization: str | None = None
        self._login = asyncio.Lock()
        self._ids = itertools.count(1)

    async def read(self, call: Call, method: str, *arguments: object, context: Mapping[str, object]) -> Any:
        """Call a method that changes nothing; may be repeated by the session."""
        return await self._invoke(call, method, arguments, context, safe=True)

    async def write(self, call: Call, method: str, *arguments: object, context: Mapping[str, object]) -> Any:
        """Call a method that changes something; sent once. `OutcomeUnknown` when no answer came back."""
        return await self._invoke(call, method, arguments, context, safe=False)

    async def confirm(self, call: Call, warning: str) -> None:
        """Say yes to a warning (`context` of ``erp.confirmation_needed``), once, as Tryton's own client does.

        The next request that it would stop goes on.
        """
        await self.write(call, "model.res.user.warning.skip", warning, context={})

    async def search_read(
        self,
        call: Call,
        model: str,
        domain: Sequence[object],
        fields: Sequence[str],
        *,
        context: Mapping[str, object],
        order: Sequence[Sequence[str]] = (("id", "ASC"),),
        offset: int = 0,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Rows of `model` that fit `domain` (https://docs.tryton.org/latest/server/topics/domain.html)."""
        method = f"model.{model}.search_read"
        rows = await self.read(call, method, domain, offset, limit, order, fields, context=context)
        if not isinstance(rows, list):
            raise _broken(f"{method} answered {type(rows).__name__} where rows were due")
        return rows

    async def log_in(self, call: Call) -> None:
        """Open a session; raises `NotAuthenticated` when user or password are refused."""
        parameters = [self._user, {"password": self._password.reveal()}, "en"]
        response = await self._post(call, "common.db.login", parameters, {}, safe=True)
        if response.status in (_UNAUTHORIZED, _FORBIDDEN):
            raise NotAuthenticated(
                f"Tryton refuses the user {self._user} in the database {self._database}: check user and password",
                code="erp.credentials_refused",
            )
        result = self._result(response, "common.db.login", safe=True)
        if not isinstance(result, list) or len(result) < 2:  # noqa: PLR2004 - user id and token
            raise _broken("the answer to the login holds no session")
        plain = f"{self._user}:{result[0]}:{result[1]}"
        self._authorization = "Session " + base64.b64encode(plain.encode()).decode()

    async def _invoke(
        self, call: Call, method: str, arguments: Sequence[object], context: Mapping[str, object], *, safe: bool
    ) -> Any:
        parameters = [*arguments, {"language": "en", **context}]
        authorization = self._authorization or await self._fresh_session(call, None)
        response = await self._post(call, method, parameters, {"authorization": authorization}, safe=safe)
        if response.status == _UNAUTHORIZED:
            # Tryton checks the session before it does anything, so even a write may be sent again.
            authorization = await self._fresh_session(call, authorization)
            response = await self._post(call, method, parameters, {"authorization": authorization}, safe=safe)
        return self._result(response, method, safe=safe)

    async def _fresh_session(self, call: Call, stale: str | None) -> str:
        async with self._login:
            if self._authorization is None or self._authorization == stale:
                await self.log_in(call)
            assert self._authorization is not None  # noqa: S101 - log_in sets it or raises
            return self._authorization

    async def _post(
        self, call: Call, method: str, parameters: Sequence[object], headers: Mapping[str, str], *, safe: bool
    ) -> Response:
        body = wire.encode({"id": next(self._ids), "method": method, "params": parameters})
        # Tryton marks every long answer as gzip, whether it compressed it or not: accepting gzip makes that true.
        standing = {"content-type": "application/json", "accept": "application/json", "accept-encoding": "gzip"}
        return await self._session.request(
            "POST", self._path, call=call, body=body, headers={**standing, **headers}, safe=safe
        )

    def _result(self, response: Response, method: str, *, safe: bool) -> Any:
        if response.status != _OK:
            raise _refusal(response, method, self._database, safe=safe)
        try:
            answer = wire.decode(response.body)
        except ValueError as error:
            raise _unreadable(method, str(error), safe=safe) from None
        if not isinstance(answer, dict) or not {"error", "result"} & answer.keys():
            raise _unreadable(method, "neither result nor error", safe=safe)
        if "error" in answer:
            _raise_error(answer["error"], method)
        return answer["result"]


def _raise_error(error: object, method: str) -> NoReturn:
    context = {"method": method}
    match error:
        case ["UserError", [str() as message, *rest]]:
            text = " ".join(part for part in (message, *rest[:1]) if isinstance(part, str) and part)
            if text.startswith(_ABOUT_RIGHTS):
                raise NotAllowed(f"Tryton: {text}", code="erp.not_allowed", context=context)
            if text.startswith(_ABOUT_STATE):
                # Somebody pressed it before us: a person, or a request of our own that we had given up.
                raise Unavailable(f"{text} It was moved on meanwhile", code=CHANGED_MEANWHILE, context=context)
            raise Rejected(f"Tryton refuses: {text}", code="erp.refused", context=context)
        case ["UserWarning", [str() as name, str() as message, *_]]:
            raise Conflict(
                f"Tryton asks a person to confirm: {message}",
                code="erp.confirmation_needed",
                context={**context, "warning": name},
            )
        case ["ConcurrencyException", *_]:
            raise Unavailable(
                "the record was changed by someone else: read it again", code=CHANGED_MEANWHILE, context=context
            )
        case ["LoginException", *_]:
            raise NotAuthenticated("Tryton asks for another way to log in", code="erp.credentials_refused")
        case [str() as text, *_] if _LOCKED in text:
            raise Unavailable("Tryton's database is busy: nothing was done, try again", code="erp.database_locked")
        case [str() as text, *_]:
            raise BrokenUpstream(
                f"Tryton failed inside {method} and did nothing: {text[:300]}", code="erp.fault", context=context
            )
        case _:
            raise _broken(f"{method} failed without saying why")


def _refusal(response: Response, method: str, database: str, *, safe: bool) -> CrossdockError:
    status = response.status
    known = {
        _UNAUTHORIZED: NotAuthenticated("Tryton ended our session twice: check its clock", code="erp.session"),
        _FORBIDDEN: NotAllowed(f"Tryton lets us not call {method}: check the user's groups", code="erp.not_allowed"),
        _NOT_FOUND: BrokenUpstream(f"Tryton knows no database {database}: renamed?", code="erp.database_missing"),
        _TOO_MANY: Throttled("Tryton limits our logins: wait", code="erp.throttled", retry_after=30.0),
    }
    if status in known:
        return known[status]
    if status < _SERVER_ERROR:
        return _broken(f"{method} was answered with HTTP {status}")
    if safe or _LOCKED.encode() in response.body:
        return Unavailable(f"Tryton answered HTTP {status}: nothing was done, try again", code="erp.unavailable")
    return OutcomeUnknown(
        f"Tryton answered HTTP {status} to {method}: look whether it was done", code="erp.outcome_unknown"
    )


def _unreadable(method: str, why: str, *, safe: bool) -> CrossdockError:
    if safe:
        return _broken(f"the answer to {method} cannot be read: {why}")
    return OutcomeUnknown(
        f"the answer to {method} cannot be read ({why}): look whether it was done", code="erp.outcome_unknown"
    )


def _broken(detail: str) -> BrokenUpstream:
    return BrokenUpstream(f"Tryton breaks its protocol: {detail}", code="erp.protocol")
