"""What was sold and shipped, for whoever takes it back."""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.canonical.capabilities import Connection
from gateway.canonical.order import SoldOrder
from gateway.kernel.errors import NotFound
from gateway.store.queries import queries_beside

_sql: Final = queries_beside(__file__, "sold_queries.sql")
_decode: Final = msgspec.json.Decoder(SoldOrder, strict=False).decode


class Sold:
    """Implements `TellsSold`."""

    async def sold(self, connection: Connection, *, tenant: str, order: str, partner: str | None) -> SoldOrder:
        """See `TellsSold`."""
        text = await connection.fetchval(_sql.sold, order, tenant, partner)
        if text is None:
            raise NotFound(f"there is no order {order[:40]!r}", code="order.not_found")
        return _decode(text)
