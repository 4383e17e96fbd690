"""The AsyncAPI document: what is told without being asked for each time (https://www.asyncapi.com, 3.1.0).

Webhooks and streams of events of every API version, in the shapes that are encoded, and the event log as JetStream
carries it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.canonical.events import TAXONOMY, EventType, Recorded
from gateway.contracts.api import Api
from gateway.contracts.formats import name_number_formats
from gateway.contracts.webhooks import HEADERS
from gateway.contracts.wording import dedent_descriptions
from gateway.store.rows import Members, Shared

ASYNCAPI: Final = "asyncapi.yaml"
_ABOUT: Final = (
    "What Crossdock tells by itself: webhooks and streams of its API versions, whose owners and dates stand in their "
    "OpenAPI documents, and the event log on its carrier. At least once, each with an id."
)
_REF: Final = "#/components/schemas/"
_SUBJECT: Final = "crossdock.{installation}.{stream}."
_SUBJECT_PARTS: Final = {
    "installation": {"description": "16 hexadecimal digits that name one installation's database."},
    "stream": {"description": "A stream of the log: `main`, or that of a region."},
}


def build_asyncapi(apis: Sequence[Api]) -> dict[str, Any]:
    """The whole document; `apis` are all that this build serves."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for api in apis:
        streams = {
            path: handler.opt["events"] for handler in api.handlers if "events" in handler.opt for path in handler.paths
        }
        payloads = [each.payload for each in api.webhooks]
        payloads += [payload for events in streams.values() for payload in events.values()]
        if not payloads:
            continue
        prefix = f"{api.name}.{api.version}."
        shapes = _shapes(payloads, prefix, schemas)
        if api.webhooks:
            told = {each.name: _message(each.name, each.payload, shapes, headers=True) for each in api.webhooks}
            channels[prefix + "webhooks"] = {
                "address": None,
                "title": f"{api.title} {api.version}: webhooks",
                "description": "An address of yours, registered by the API. Standard Webhooks 1.0, signed.",
                "messages": told,
            }
            operations[prefix + "post"] = _sent(prefix + "webhooks", api, {"http": {"method": "POST"}})
        for path, events in streams.items():
            name = prefix + path.rpartition("/")[2]
            channels[name] = {
                "address": path,
                "servers": [{"$ref": "#/servers/gateway"}],
                "title": f"{api.title} {api.version}: {path}",
                "description": "Server-sent events (HTML Living Standard, 9.2); `data` is the message in one line.",
                "messages": {kind: _message(kind, payload, shapes) for kind, payload in sorted(events.items())},
            }
            operations[name + ".tell"] = _sent(name, api, {"http": {"method": "GET"}})
    shapes = _shapes([Recorded, Shared, Members], "log.", schemas)
    for kind in TAXONOMY.values():
        channels["log." + kind.name] = _of_log(kind, shapes)
        operations[f"log.{kind.name}.publish"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/log.{kind.name}"},
            "tags": [{"name": "log"}],
            "description": kind.meaning,
        }
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "Crossdock: events",
            "version": "1.0.0",
            "description": _ABOUT,
            "contact": {"name": "Crossdock"},
            "tags": [{"name": "partners"}, {"name": "log"}],
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "gateway": {"host": "{gateway}", "protocol": "https", "variables": {"gateway": {"default": "localhost"}}},
            "carrier": {
                "host": "{carrier}",
                "protocol": "nats",
                "description": "JetStream. For our own processes and for whoever operates it, not for partners.",
                "variables": {"carrier": {"default": "localhost:4222"}},
            },
        },
        "channels": channels,
        "operations": operations,
        "components": {"schemas": schemas},
    }


def _shapes(payloads: Sequence[Any], prefix: str, schemas: dict[str, Any]) -> dict[Any, Any]:
    """The schema of each type; what they refer to is added to `schemas` under `prefix`."""
    unique = list(dict.fromkeys(payloads))
    found, components = msgspec.json.schema_components(unique, ref_template=f"{_REF}{prefix}{{name}}")
    for name, schema in components.items():
        name_number_formats(schema)
        dedent_descriptions(schema)
        schemas[prefix + name] = schema
    return dict(zip(unique, found, strict=True))


def _message(name: str, payload: Any, shapes: Mapping[Any, Any], *, headers: bool = False) -> dict[str, Any]:
    summary, _, description = (payload.__doc__ or name).strip().partition("\n")
    signed = {
        "type": "object",
        "required": [field for field, _, _ in HEADERS],
        "properties": {
            field: {"type": "string", "description": text, "maxLength": 400, **more} for field, text, more in HEADERS
        },
    }
    return {
        "name": name,
        "summary": summary.rstrip("."),
        **({"description": " ".join(description.split())} if description.strip() else {}),
        "contentType": "application/json",
        **({"headers": signed} if headers else {}),
        "payload": shapes[payload],
    }


def _sent(channel: str, api: Api, bindings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{channel}"},
        "tags": [{"name": "partners"}],
        "description": f"{api.title} {api.version}, for {api.facing}s",
        "bindings": dict(bindings),
    }


def _of_log(kind: EventType, shapes: Mapping[Any, Any]) -> dict[str, Any]:
    version = {"const": kind.version}
    event = {"properties": {"event": {"properties": {"type": {"const": kind.name}}}, "version": version}}
    shared = {"properties": {"type": {"const": kind.name}, "version": version, "members": shapes[Members]}}
    payload = [shapes[Shared], shared] if kind.together or kind.bulky else [shapes[Recorded], event]
    return {
        "address": _SUBJECT + kind.name,
        "servers": [{"$ref": "#/servers/carrier"}],
        "parameters": _SUBJECT_PARTS,
        "description": kind.meaning,
        "messages": {
            kind.name: {
                "name": kind.name,
                "summary": kind.meaning,
                "contentType": "application/json",
                "payload": {"allOf": payload},
                "x-aggregate": kind.aggregate,
            }
        },
    }
