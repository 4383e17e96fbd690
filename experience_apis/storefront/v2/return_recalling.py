"""What became of a lost request about a return: looked up in the record, never done again (`RecallsOutcome`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from experience_apis.storefront.v2 import return_mapping, return_schemas
from gateway.kernel.context import Caller
from gateway.kernel.errors import Conflict, NotFound
from gateway.kernel.exchange import Reply
from process_apis.returns.process import Returns

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(return_schemas.ReturnInput).decode
_JSON: Final = (b"content-type", b"application/json")
_OK: Final = 200
_CREATED: Final = 201


class RecallsReturn:
    """The return that a lost `askReturn` made, as it is now."""

    def __init__(self, returns: Returns) -> None:
        self._returns = returns

    async def recall_outcome(self, *, caller: Caller, body: bytes, **_: object) -> Reply | None:
        """201 with the return, or None when it is certain that this request made none."""
        command, partner = return_mapping.ask_return(_decode(body)), caller.principal.partner or ""
        try:
            known = await self._returns.authorisations.recall(caller, command, partner=partner)
        except Conflict:  # the reference names another return, which another request made
            return None
        if known is None:
            return None
        location = (b"location", f"/storefront/v2/returns/{known.return_id}".encode())
        return Reply(_CREATED, [_JSON, location], _encode(return_mapping.return_view(known)))


class RecallsReturnCancellation:
    """The return whose lost cancellation was done."""

    def __init__(self, returns: Returns) -> None:
        self._returns = returns

    async def recall_outcome(self, *, caller: Caller, path_params: Mapping[str, str], **_: object) -> Reply | None:
        """200 once the cancellation is in the record, else None."""
        partner = caller.principal.partner or ""
        try:
            known = await self._returns.get(caller.tenant, path_params["return_id"], partner=partner)
        except NotFound:
            return None
        return None if known.cancelled_at is None else Reply(_OK, [_JSON], _encode(return_mapping.return_view(known)))
