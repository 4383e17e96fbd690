"""Tryton's ids behind codes: company, currencies, countries, warehouses, products, parties.

What seldom changes is kept for a while; what is missing is never kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from msgspec import Struct

from gateway.kernel.errors import BrokenUpstream, Misconfigured, NotFound, Rejected
from system_apis.tryton import wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.canonical.capabilities import Call
    from gateway.kernel.clock import Clock
    from system_apis.tryton.client import Client
    from system_apis.tryton.settings import Settings

_KEPT_S: Final = 60.0
_MOST_KEPT: Final = 50_000

_Row = TypeVar("_Row", bound=Struct)


class Directory:
    """Looks codes up. Every method raises what `Client` raises besides what it says."""

    def __init__(self, client: Client, settings: Settings, clock: Clock) -> None:
        self._client = client
        self._settings = settings
        self._clock = clock
        self._company: tuple[int, str] | None = None
        self._kept: dict[tuple[str, str], tuple[float, Any]] = {}

    async def context(self, call: Call) -> dict[str, object]:
        """The context every call carries."""
        return {"company": (await self._own_company(call))[0]}

    async def company_currency(self, call: Call) -> str:
        """ISO 4217 code."""
        return (await self._own_company(call))[1]

    async def rows(
        self,
        call: Call,
        kind: type[_Row],
        domain: Sequence[object],
        *,
        limit: int | None = None,
        offset: int = 0,
        context: dict[str, object] | None = None,
    ) -> list[_Row]:
        """All or some rows of a model of `wire` that fit `domain`, oldest first."""
        whole = {**await self.context(call), **(context or {})}
        model: str = kind.MODEL  # type: ignore[attr-defined]
        fields: Sequence[str] = kind.FIELDS  # type: ignore[attr-defined]
        found = await self._client.search_read(call, model, domain, fields, context=whole, limit=limit, offset=offset)
        try:
            return wire.rows(found, kind)
        except ValueError as error:
            raise BrokenUpstream(
                f"Tryton answered something else than its {model}: {error}", code="erp.shape"
            ) from None

    async def warehouses(self, call: Call) -> dict[str, wire.Warehouse]:
        """By code; a warehouse without one takes no part."""
        kept = self._recall("warehouses", "")
        if kept is None:
            found = await self.rows(call, wire.Warehouse, [("type", "=", "warehouse")])
            kept = self._keep("warehouses", "", {row.code: row for row in found if row.code})
        return dict(kept)

    async def warehouse(self, call: Call, code: str) -> wire.Warehouse:
        """Raises `Rejected` for an unknown code."""
        known = await self.warehouses(call)
        if code not in known:
            raise Rejected(
                f"Tryton has no warehouse with the code {code}: it knows {', '.join(sorted(known)) or 'none'}",
                code="erp.unknown_location",
            )
        return known[code]

    async def products(self, call: Call, codes: Iterable[str]) -> dict[str, wire.Product]:
        """By code. Raises `Rejected` naming the codes that Tryton has not, or has twice."""
        wanted = set(codes)
        known = {code: row for code in wanted if (row := self._recall("product", code)) is not None}
        if missing := sorted(wanted - known.keys()):
            for row in await self.rows(call, wire.Product, [("code", "in", missing)]):
                code = row.code or ""
                if code in known:
                    raise Rejected(
                        f"Tryton has several products with the code {code}: make it unique", code="erp.ambiguous_sku"
                    )
                known[code] = self._keep("product", code, row)
        if unknown := sorted(wanted - known.keys()):
            raise Rejected(f"Tryton has no active product {', '.join(unknown)}", code="erp.unknown_sku")
        return known

    async def party(self, call: Call, code: str) -> wire.Party:
        """Fresh, for its balance. Raises `NotFound`."""
        found = await self.rows(call, wire.Party, [("code", "=", code)], limit=1)
        if not found:
            raise NotFound(f"Tryton has no active customer with the code {code}", code="erp.customer_not_found")
        return found[0]

    async def currency(self, call: Call, code: str) -> int:
        """Raises `Rejected` for one that Tryton does not trade in."""
        return await self._by_code(call, "currency.currency", code, "erp.unknown_currency")

    async def country(self, call: Call, code: str) -> int:
        """Raises `Rejected` for one that Tryton does not list."""
        return await self._by_code(call, "country.country", code, "erp.unknown_country")

    async def _by_code(self, call: Call, model: str, code: str, error_code: str) -> int:
        kept = self._recall(model, code)
        if kept is None:
            domain = [("code", "=", code)]
            found = await self._client.search_read(call, model, domain, ["code"], context={}, limit=1)
            if not found:
                raise Rejected(f"Tryton has no {model.partition('.')[0]} {code}: add it there", code=error_code)
            kept = self._keep(model, code, found[0]["id"])
        return int(kept)

    async def _own_company(self, call: Call) -> tuple[int, str]:
        if self._company is None:
            name = self._settings.company
            domain = [("party.name", "=", name)] if name else []
            found = await self._client.search_read(
                call, "company.company", domain, ["currency.code"], context={}, limit=2
            )
            if len(found) != 1:
                raise Misconfigured(
                    f"the Tryton user {self._settings.user} sees {len(found) or 'no'} companies that fit: "
                    "set `company` to the name of one that it may work for",
                    code="erp.company",
                )
            self._company = found[0]["id"], found[0]["currency."]["code"]
        return self._company

    def _recall(self, kind: str, key: str) -> Any:
        until, value = self._kept.get((kind, key), (0.0, None))
        return value if until > self._clock.monotonic() else None

    def _keep(self, kind: str, key: str, value: Any) -> Any:
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[kind, key] = (self._clock.monotonic() + _KEPT_S, value)
        return value
