"""The page of master data: where each value of one record comes from, who owns what, what systems' lists came to."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final, Protocol

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from gateway.console.access import user_of
from gateway.console.answers import html
from gateway.console.rendering import Pages
from gateway.reference.ownership import Matrix
from gateway.reference.readings import readings, refusals
from gateway.reference.survivorship import Provenance
from gateway.store.postgres import Store

_LONGEST: Final = 200
_LONGEST_VALUE: Final = 120
_MOST_REFUSED: Final = 100


class TellsMasters(Protocol):
    """A process of master data, as far as this page asks it."""

    def ownership(self, tenant: str) -> Awaitable[Matrix]:
        """Who owns which attribute."""
        ...

    def record_of(self, tenant: str, name: str) -> Awaitable[str | None]:
        """Our id of the record that people call `name`."""
        ...

    def provenance(self, tenant: str, record: str) -> Awaitable[Sequence[Provenance]]:
        """Where each value of it comes from."""
        ...


def master_data_routes(
    pages: Pages, masters: Mapping[str, TellsMasters], store: Store, tenant: str
) -> list[HTTPRouteHandler]:
    """The handler of the page; `masters` by what their records are called (``items``)."""

    @get("/master-data")
    async def show_master_data(request: Request[Any, Any, Any]) -> Response[str]:
        kind = request.query_params.get("kind", "")
        kind = kind if kind in masters else next(iter(masters))
        name = "".join(each for each in request.query_params.get("name", "") if each.isprintable()).strip()[:_LONGEST]
        record = await masters[kind].record_of(tenant, name) if name else None
        told = [] if record is None else await masters[kind].provenance(tenant, record)
        context = {
            "user": user_of(request),
            "kinds": list(masters),
            "kind": kind,
            "name": name,
            "record": record,
            "matrix": await masters[kind].ownership(tenant),
            "told": [_shown(each) for each in told],
            # A record's domain is its kind in the singular.
            "readings": await readings(store, tenant, kind[:-1]),
            "refused": await refusals(store, tenant, kind[:-1], limit=_MOST_REFUSED),
            "most": _MOST_REFUSED,
        }
        return html(pages.render("master_data.html", context))

    return [show_master_data]


def _shown(each: Provenance) -> dict[str, Any]:
    return {
        "attribute": each.attribute,
        "value": _text(each.value),
        "source": each.source,
        "since": each.since,
        "others": [
            {"source": said.source, "value": _text(said.value), "since": said.since, "counts": said.counts}
            for said in each.others
        ],
        "disputed_by": each.disputed_by,
    }


def _text(value: object) -> str:
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
