"""A door before a proxied API, and upstreams of every kind on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from gateway.edge.chain import ORDER
from gateway.edge.front_door import FrontDoor
from gateway.edge.litestar_app import make_litestar
from gateway.edge.strict import parse_json
from gateway.kernel.clock import SystemClock
from gateway.kernel.context import Caller, Principal, Zone
from gateway.kernel.errors import NotAuthenticated
from gateway.kernel.exchange import Exchange
from gateway.systems.proxied.api import ProxiedApi
from gateway.telemetry.counters import Counters
from policies.authorise.options import AuthoriseOptions
from policies.authorise.policy import Authorise
from policies.canonical_request.policy import CanonicalRequest
from policies.message_hygiene.policy import MessageHygiene
from policies.trace.policy import Trace
from policies.validate_request.policy import ValidateRequest
from policies.validate_response.policy import ValidateResponse
from policies.version.policy import Version

ITEM = {"$ref": "#/components/schemas/Item"}
JSON_ITEM = {"application/json": {"schema": ITEM}}
DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Legacy items", "version": "4"},
    "paths": {
        "/items": {
            "get": {
                "operationId": "listItems",
                "parameters": [
                    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100}},
                    {"name": "tag", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
                    {"name": "since", "in": "query", "schema": {"type": "string", "format": "date"}},
                    {"name": "X-Depot", "in": "header", "schema": {"enum": ["north", "south"]}},
                ],
                "responses": {"200": {"description": "items", "content": JSON_ITEM}, "404": {"description": "none"}},
            },
            "post": {
                "operationId": "addItem",
                "requestBody": {"required": True, "content": JSON_ITEM},
                "responses": {"201": {"description": "added", "content": JSON_ITEM}},
            },
        },
        "/items/{sku}": {
            "parameters": [{"name": "sku", "in": "path", "required": True, "schema": {"type": "string"}}],
            "get": {
                "operationId": "getItem",
                "responses": {
                    "200": {"description": "one", "content": JSON_ITEM},
                    "3XX": {"description": "moved"},
                    "409": {"description": "busy"},
                },
            },
            "put": {"operationId": "putItem", "requestBody": {"content": JSON_ITEM}, "responses": {"204": {}}},
        },
        "/ticks": {
            "get": {
                "operationId": "ticks",
                "responses": {"200": {"description": "ticks", "content": {"text/event-stream": {}}}},
            }
        },
        "/files": {
            "post": {
                "operationId": "upload",
                "requestBody": {"content": {"application/octet-stream": {}}},
                "responses": {"200": {"description": "kept", "content": {"text/plain": {}}}},
            }
        },
    },
    "components": {
        "schemas": {
            "Item": {
                "type": "object",
                "additionalProperties": False,
                "required": ["id", "sku"],
                "properties": {
                    "id": {"type": "integer", "readOnly": True},
                    "sku": {"type": "string", "pattern": "^[A-Z0-9-]+$"},
                    "made": {"type": "string", "format": "date"},
                    "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Item"}},
                },
            }
        }
    },
}
GOOD = b'{"id":1,"sku":"A-1"}'
Behave = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], Awaitable[None]]


def answer(body: bytes = GOOD, status: str = "200 OK", *fields: str, kind: str = "application/json") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-type: {kind}", f"content-length: {len(body)}", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class RawServer:
    """A server that reads whole request heads and does with them what a test says."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.say: bytes | None = answer()
        self.behave: Behave | None = None
        self.port = 0
        self._server: Any = None
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                if self.behave is not None:
                    await self.behave(reader, writer, head)
                    continue
                length = next((line for line in head.split(b"\r\n") if line.startswith(b"content-length")), b": 0")
                self.bodies.append(await reader.readexactly(int(length.split(b":")[1])))
                writer.write(self.say or b"")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class FakeAuthenticate:
    """`Bearer good` is a partner with every zone and the scopes given."""

    name = "authenticate"
    concludes = False

    def __init__(self) -> None:
        self.scopes = frozenset({"system:read", "system:write"})
        self.tenant = "acme"

    def admit(self, exchange: Exchange) -> None:
        if exchange.headers.get(b"authorization") != b"Bearer good":
            raise NotAuthenticated("send a credential", code="credential.missing")
        exchange.principal = Principal(self.tenant, "partner-1", "key-1", frozenset(Zone), self.scopes)
        exchange.caller = Caller(exchange.principal, exchange.request_id, exchange.correlation_id, exchange.deadline)


class Reply:
    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.status: int = messages[0]["status"]
        self.fields: list[tuple[bytes, bytes]] = messages[0]["headers"]
        self.headers = {name.decode(): value.decode("latin-1") for name, value in self.fields}
        self.parts = [message["body"] for message in messages[1:]]
        self.body = b"".join(self.parts)
        self.whole = not messages[-1].get("more_body", False)

    @property
    def problem(self) -> Any:
        assert self.headers["content-type"] == "application/problem+json", (self.headers, self.body)
        return parse_json(self.body)

    @property
    def code(self) -> str:
        return self.problem["code"]


class Site:
    """The door with its proxied API."""

    def __init__(self, api: ProxiedApi, counters: Counters) -> None:
        app, table = make_litestar([])
        self.api, self.counters, self.auth = api, counters, FakeAuthenticate()
        for served in api.served:
            table.add(served.route, served.segments)
        named: dict[str, Any] = {
            "canonical_request": CanonicalRequest(),
            "message_hygiene": MessageHygiene(),
            "trace": Trace(),
            "version": Version(table, SystemClock()),
            "authenticate": self.auth,
            "authorise": Authorise(AuthoriseOptions(tenant="acme")),
            "validate_request": ValidateRequest(),
            "validate_response": ValidateResponse(),
        }
        self.front = FrontDoor(
            app,
            table,
            [named[name] for name in ORDER if name in named],
            SystemClock(),
            direct={served.route.id: served.direct for served in api.served if served.direct},
            streams={served.route.id: served.stream for served in api.served if served.stream},
        )

    @property
    def violations(self) -> float:
        counter = self.counters.counter("crossdock_contract_violations_total", "")
        return sum(total for _, total in counter.series())

    async def send(
        self,
        method: str,
        target: str,
        body: bytes | list[bytes] = b"",
        *fields: tuple[str, str],
        kind: str | None = "application/json",
        leave: asyncio.Event | None = None,
        credential: str = "good",
    ) -> Reply:
        messages = self.stream(method, target, body, *fields, kind=kind, leave=leave, credential=credential)
        return Reply([message async for message in messages])

    async def stream(
        self,
        method: str,
        target: str,
        body: bytes | list[bytes] = b"",
        *fields: tuple[str, str],
        kind: str | None = "application/json",
        leave: asyncio.Event | None = None,
        credential: str = "good",
    ) -> AsyncIterator[dict[str, Any]]:
        chunks = body if isinstance(body, list) else [body] if body else []
        headers = [(b"host", b"api.example.com"), (b"authorization", f"Bearer {credential}".encode())]
        if chunks:
            if kind:
                headers.append((b"content-type", kind.encode()))
            length = (b"content-length", b"%d" % sum(map(len, chunks)))
            headers.append(length if isinstance(body, bytes) else (b"transfer-encoding", b"chunked"))
        headers += [(name.encode(), value.encode("latin-1")) for name, value in fields]
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "https",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": headers,
            "client": ("192.0.2.7", 4711),
        }
        waiting = [
            {"type": "http.request", "body": chunk, "more_body": index < len(chunks) - 1}
            for index, chunk in enumerate(chunks)
        ]
        gone = leave or asyncio.Event()
        sent: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

        async def receive() -> Any:
            if waiting:
                return waiting.pop(0)
            await gone.wait()
            return {"type": "http.disconnect"}

        async def serve() -> None:
            try:
                await self.front(scope, receive, sent.put)
            finally:
                await sent.put(None)

        serving = asyncio.create_task(serve())
        while (message := await asyncio.wait_for(sent.get(), 30)) is not None:
            yield message
        await serving
