"""A vendor's JSON API over a session: what its answers mean, sorted once for the adapters whose vendors agree on it.

| answer | becomes (codes begin with the adapter's `prefix`) |
|---|---|
| 401, 403 | `BrokenUpstream` (``….refused_credentials``): a person must look |
| 404 | `NotFound` |
| 409 | `Conflict`, with the vendor's code in lower case |
| 400, 422 | `Rejected`, likewise |
| 429 | `Throttled` (by the session) |
| 5xx to a read, 503 to a change | `Unavailable`; 503 must be the vendor's "nothing was done" |
| other 5xx to a change | `OutcomeUnknown` |
| an unreadable body | `BrokenUpstream`; after a change that answered 2xx `OutcomeUnknown` |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from gateway.kernel.errors import (
    BrokenUpstream,
    Conflict,
    CrossdockError,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Unavailable,
)

if TYPE_CHECKING:
    from gateway.canonical.capabilities import Call
    from gateway.outbound.session import Response, Session

_LONGEST_CODE: Final = 40
_LONGEST_TEXT: Final = 200


class Fault(NamedTuple):
    """What a vendor says of a refusal."""

    code: str
    message: str


class JsonApi:
    """One system's. `title` names it in errors; `fault` reads its error bodies, `ValueError` when it cannot."""

    def __init__(
        self,
        session: Session,
        *,
        title: str,
        prefix: str,
        headers: Mapping[str, str],
        fault: Callable[[bytes], Fault],
    ) -> None:
        self._session = session
        self._title = title
        self._prefix = prefix
        self._headers = {"accept": "application/json", **headers}
        self._fault = fault

    async def ask(self, call: Call, path: str, shape: Any, *, method: str = "GET", body: bytes = b"") -> Any:
        """What changes nothing; decoded as `shape`."""
        answer = await self._send(call, method, path, body, safe=True)
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Unavailable(f"{self._title} answered {answer.status}: try again", code=f"{self._prefix}.unavailable")
        self._refuse(answer)
        try:
            return decode(answer.body, shape)
        except ValueError as error:
            raise self._broken(f"something outside its contract ({_first_line(error)})") from None

    async def change(self, call: Call, path: str, shape: Any, body: bytes, *, method: str = "POST") -> Any:
        """What may have an effect; decoded as `shape`."""
        answer = await self._send(call, method, path, body, safe=False)
        if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
            raise Unavailable(f"{self._title} takes nothing on for now: try again", code=f"{self._prefix}.unavailable")
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise self._unknown(str(answer.status))
        self._refuse(answer)
        try:
            return decode(answer.body, shape)
        except ValueError as error:
            raise self._unknown(f"something outside its contract ({_first_line(error)})") from None

    async def _send(self, call: Call, method: str, path: str, body: bytes, *, safe: bool) -> Response:
        headers = {**self._headers, "content-type": "application/json"} if body else self._headers
        return await self._session.request(method, path, call=call, headers=headers, body=body, safe=safe)

    def _refuse(self, answer: Response) -> None:
        if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            return
        try:
            fault = self._fault(answer.body)
        except ValueError:
            fault = Fault(str(answer.status), "no explanation that can be read")
        raise self._error(answer.status, fault)

    def _error(self, status: int, fault: Fault) -> CrossdockError:
        told = fault.code[:_LONGEST_CODE]
        detail = f"{self._title} refused: {fault.message[:_LONGEST_TEXT]} ({told})"
        code = f"{self._prefix}.{told.lower()}"
        if status == HTTPStatus.NOT_FOUND:
            return NotFound(detail, code=code)
        if status == HTTPStatus.CONFLICT:
            return Conflict(detail, code=code)
        if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
            return Rejected(detail, code=code)
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return BrokenUpstream(
                f"{self._title} refuses our credentials: check its settings", code=f"{self._prefix}.refused_credentials"
            )
        return self._broken(f"{status}, which its contract does not know")

    def _broken(self, what: str) -> BrokenUpstream:
        return BrokenUpstream(f"{self._title} answered {what}", code=f"{self._prefix}.broken_contract")

    def _unknown(self, what: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"{self._title} answered {what} to a change: look there before repeating it",
            code=f"{self._prefix}.outcome_unknown",
        )


def decode(body: bytes, shape: Any) -> Any:
    """Strictly typed, open to fields that the vendor adds. Raises `ValueError`."""
    try:
        return msgspec.json.decode(body, type=shape)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:_LONGEST_TEXT]
