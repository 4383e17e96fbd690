"""The API catalogue (RFC 9727) at ``/.well-known/api-catalog``: a linkset (RFC 9264) with one entry per API version."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

_OPTIONS: Final = {"zone": None, "api": "operations", "version": ""}
_MEDIA_TYPE: Final = "application/linkset+json"
_PROFILE: Final = "https://www.rfc-editor.org/info/rfc9727"


class CatalogueEntry(Struct, frozen=True, kw_only=True):
    """One version of one API. All members are URI references; `anchor` is where the API begins."""

    anchor: str
    title: str
    service_desc: str | None = None
    service_doc: str | None = None
    service_meta: str | None = None
    status: str | None = "/readyz"


def catalogue_routes(entries: Sequence[CatalogueEntry]) -> list[HTTPRouteHandler]:
    """The catalogue's route; its body is made once."""
    body = msgspec.json.encode({"linkset": [_links(entry) for entry in entries]})
    headers = {"cache-control": "public, max-age=300", "link": '</.well-known/api-catalog>; rel="api-catalog"'}

    @get("/.well-known/api-catalog", opt=_OPTIONS, operation_id="apiCatalog")
    async def api_catalog() -> Response[bytes]:
        return Response(body, media_type=f'{_MEDIA_TYPE}; profile="{_PROFILE}"', headers=headers)

    return [api_catalog]


def _links(entry: CatalogueEntry) -> Mapping[str, Any]:
    relations = {
        "service-desc": (entry.service_desc, "application/yaml"),
        "service-doc": (entry.service_doc, "text/html"),
        "service-meta": (entry.service_meta, "application/json"),
        "status": (entry.status, "application/json"),
    }
    links: dict[str, Any] = {"anchor": entry.anchor}
    for relation, (href, media_type) in relations.items():
        if href is not None:
            links[relation] = [{"href": href, "type": media_type, "title": entry.title}]
    return links
