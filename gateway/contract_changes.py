"""`crossdock contracts diff`: what differs between a published set of contracts and the one that the code serves."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import msgspec

from gateway.app import published_apis
from gateway.canonical.capabilities import Call
from gateway.contracts.changes import Change
from gateway.contracts.comparing import compare_publications
from gateway.contracts.document import build_document
from gateway.contracts.reading import read_document
from gateway.governance import print_json, print_table
from gateway.kernel.clock import SystemClock
from gateway.kernel.errors import BrokenUpstream, Misconfigured
from gateway.kernel.ids import new_id
from gateway.outbound.door import Outbound
from gateway.outbound.limits import SystemLimits
from gateway.outbound.session import Session

Documents = dict[str, dict[str, Any]]
_OK: Final = 200
_ASK_S: Final = 20.0
_LIMITS: Final = SystemLimits(timeout=_ASK_S, max_response_bytes=8 << 20)


def show_changes(base: Path | None, against: str | None, folder: Path | None, *, as_json: bool) -> int:
    """Compare; 1 when something breaks a consumer.

    The older side is the folder `base` or what the gateway at the URL `against` publishes; the newer one is the code,
    or `folder`. Of a gateway only what it publishes is compared: what it lacks is not called new.
    """
    older = asyncio.run(_of_gateway(against)) if against is not None else _of_folder(base or Path("openapi"))
    newer = _of_folder(folder) if folder is not None else _of_code()
    if against is not None:
        newer = {name: document for name, document in newer.items() if name in older}
    found = compare_publications(older, newer)
    broken = sum(change.breaking for changes in found.values() for change in changes)
    if as_json:
        print_json({"breaking": broken, "documents": found})
    else:
        _print(found, compared=len(older))
    if broken:
        sys.stderr.write(f"crossdock: {broken} breaking changes: keep what was, or publish the next major version\n")
    return 1 if broken else 0


def _print(found: Mapping[str, list[Change]], *, compared: int) -> None:
    """One row for what is the same in many places."""
    rows: list[tuple[str, ...]] = []
    for name, changes in found.items():
        places: dict[tuple[bool, str, str, str], list[str]] = {}
        for change in changes:
            last = change.where.rpartition("/")[2].rpartition(" ")[2]
            places.setdefault((change.breaking, change.rule, change.what, last), []).append(change.where)
        for (breaks, rule, what, _), where in places.items():
            more = f" (and {len(where) - 1} more)" if len(where) > 1 else ""
            rows.append(("BREAKING" if breaks else "additive", name, where[0] + more, rule, what))
    if rows:
        print_table(("", "contract", "where", "rule", "what"), sorted(rows, key=lambda row: row[0] != "BREAKING"))
        return
    with suppress(BrokenPipeError):
        sys.stdout.write(f"{compared} contracts, nothing differs for a consumer\n")


def _of_code() -> Documents:
    return {api.path: build_document(api) for api in published_apis()}


def _of_folder(folder: Path) -> Documents:
    found = {
        str(path.relative_to(folder)): read_document(str(path), path.read_bytes()) for path in folder.rglob("v*.yaml")
    }
    if not found:
        raise Misconfigured(f"{folder} has no contracts (LAYER/NAME/vN.yaml): name the folder that was published")
    return found


async def _of_gateway(url: str) -> Documents:
    """What a gateway's catalogue (RFC 9727) leads to."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise Misconfigured(f"{url} is no address of a gateway: https://api.example")
    origin = f"{parts.scheme}://{parts.netloc}"
    async with Outbound() as outbound:
        session = outbound.session("gateway to compare with", origin, _LIMITS)
        catalogue = msgspec.json.decode(await _get(session, "/.well-known/api-catalog"))
        found: Documents = {}
        for entry in catalogue["linkset"]:
            for link in entry.get("service-desc", ()):
                address = urlsplit(urljoin(origin, link["href"]))
                document = read_document(address.path, await _get(session, address.path))
                info = document["info"]
                name = f"{info.get('x-layer')}/{entry['anchor'].strip('/').rpartition('/')[0].rpartition('/')[2]}"
                found[f"{name}/v{str(info['version']).partition('.')[0]}.yaml"] = document
    if not found:
        raise Misconfigured(f"{origin} publishes no contract")
    return found


async def _get(session: Session, path: str) -> bytes:
    call = Call(tenant="", correlation_id=new_id("req"), deadline=SystemClock().monotonic() + _ASK_S)
    answer = await session.request("GET", path, call=call, safe=True)
    if answer.status != _OK:
        raise BrokenUpstream(f"{session.base_url}{path} answered {answer.status}: is this a gateway?")
    return answer.body
