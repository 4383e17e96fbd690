"""The API catalogue (RFC 9727) at ``/.well-known/api-catalog``: a linkset (RFC 9264) with one entry per API version.

Below ``/apis`` stands what each version is: owners, class, service level, dates (`service-meta`), and the contract of
what faces partners (`service-desc`).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

import msgspec
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

_OPTIONS: Final = {"zone": None, "api": "operations", "version": ""}
_MEDIA_TYPE: Final = "application/linkset+json"
_PROFILE: Final = "https://www.rfc-editor.org/info/rfc9727"
_CACHED: Final = {"cache-control": "public, max-age=300"}


class CatalogueEntry(Struct, frozen=True, kw_only=True):
    """One version of one API. All references are URI references; `anchor` is where the API begins.

    `meta` is the document at `service_meta`.
    """

    anchor: str
    title: str
    service_desc: str | None = None
    service_doc: str | None = None
    service_meta: str | None = None
    status: str | None = "/readyz"
    meta: Mapping[str, Any] = {}


def catalogue_routes(
    entries: Sequence[CatalogueEntry], contract: Callable[[str], str] | None = None
) -> list[HTTPRouteHandler]:
    """The catalogue's routes; bodies are made once. `contract` gives the YAML of the API that begins at an anchor."""
    body = msgspec.json.encode({"linkset": [_links(entry) for entry in entries]})
    headers = {**_CACHED, "link": '</.well-known/api-catalog>; rel="api-catalog"'}

    @get("/.well-known/api-catalog", opt=_OPTIONS, operation_id="apiCatalog")
    async def api_catalog() -> Response[bytes]:
        return Response(body, media_type=f'{_MEDIA_TYPE}; profile="{_PROFILE}"', headers=headers)

    return [api_catalog, *_meta_routes(entries), *([] if contract is None else _contract_routes(entries, contract))]


def _meta_routes(entries: Sequence[CatalogueEntry]) -> list[HTTPRouteHandler]:
    documents = {entry.service_meta: msgspec.json.encode(entry.meta) for entry in entries if entry.service_meta}
    if not documents:
        return []

    @get(sorted(documents), opt=_OPTIONS, operation_id="describeApi")
    async def describe_api(request: Request[Any, Any, Any]) -> Response[bytes]:
        return Response(documents[request.scope["path"]], media_type="application/json", headers=_CACHED)

    return [describe_api]


def _contract_routes(entries: Sequence[CatalogueEntry], contract: Callable[[str], str]) -> list[HTTPRouteHandler]:
    anchors = {entry.service_desc: entry.anchor for entry in entries if entry.service_desc}
    if not anchors:
        return []
    made = cache(contract)  # on the first request: most processes are never asked

    @get(sorted(anchors), opt=_OPTIONS, operation_id="apiContract")
    async def api_contract(request: Request[Any, Any, Any]) -> Response[bytes]:
        text = made(anchors[request.scope["path"]])
        return Response(text.encode(), media_type="application/yaml", headers=_CACHED)

    return [api_contract]


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
