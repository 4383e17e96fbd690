"""An old API in front of which the gateway is put: spare parts, each of one partner, held in memory.

``python parts_sandbox.py PORT``: it speaks as `parts_openapi.yaml` says, knows a partner by the field that the gateway
adds, and refuses whoever does not show the secret that only the gateway has.
"""

from __future__ import annotations

import json
import secrets
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

BASE = "/shop"
SECRET = "the gateway's own"
OWN_DATES = (
    ("Deprecation", "@1795262400"),
    ("Sunset", "Sat, 01 May 2027 00:00:00 GMT"),
    ("Link", f'<{BASE}/labels/new>; rel="successor-version", <{BASE}/labels?page=2>; rel="next"'),
)
PARTS: dict[str, dict[str, Any]] = {}
OWNERS: dict[str, str] = {}


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """List, read, price."""
        path, query = self._target()
        if path == "/parts":
            mine = [part for name, part in PARTS.items() if OWNERS[name] == self._partner()]
            kinds = query.get("kind", [])
            found = [part for part in mine if not kinds or part["kind"] in kinds][: int(query.get("limit", ["50"])[0])]
            self._say(200, {"parts": found}, ("X-Total", str(len(mine))), ("X-Powered-By", "Parts/0.9"))
        elif path == "/parts/machines/price":
            self._send(200, b"press 100.00\nmill 250.00\n", "text/plain")
        elif path == "/labels/old":
            self._say(200, {"label": path}, *OWN_DATES)
        elif path.startswith("/labels/"):
            self._say(200, {"label": path})
        elif path.endswith("/price") and self._part(path[: -len("/price")]):
            self._say(200, {"amount": "12.50"})
        elif part := self._part(path):
            self._say(200, part)
        else:
            self._nothing()

    def do_POST(self) -> None:
        """Add."""
        part = {"id": f"prt_{secrets.token_hex(6)}", **self._body()}
        PARTS[part["id"]], OWNERS[part["id"]] = part, self._partner()
        self._say(201, part, ("Location", f"{BASE}/parts/{part['id']}"))

    def do_PUT(self) -> None:
        """Replace."""
        body, part = self._body(), self._part(self._target()[0])
        if part is None:
            self._nothing()
            return
        PARTS[part["id"]] = changed = {"id": part["id"], **body}
        self._say(200, changed)

    def do_DELETE(self) -> None:
        """Remove."""
        part = self._part(self._target()[0])
        if part is None:
            self._nothing()
            return
        PARTS.pop(part["id"], None)
        self._send(204, b"", None)

    def log_message(self, *_: Any) -> None:
        """Nothing: the pipe is nobody's."""

    def _target(self) -> tuple[str, dict[str, list[str]]]:
        parts = urlsplit(self.path)
        return parts.path.removeprefix(BASE), parse_qs(parts.query)

    def _partner(self) -> str:
        return self.headers.get("X-Crossdock-Partner", "")

    def _body(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return found

    def _part(self, path: str) -> dict[str, Any] | None:
        name = path.removeprefix("/parts/")
        return PARTS.get(name) if OWNERS.get(name) == self._partner() else None

    def _nothing(self) -> None:
        self._say(404, {"error": "no such part"})

    def _say(self, status: int, value: Any, *fields: tuple[str, str]) -> None:
        self._send(status, json.dumps(value).encode(), "application/json", *fields)

    def _send(self, status: int, body: bytes, kind: str | None, *fields: tuple[str, str]) -> None:
        if self.headers.get("X-Shop-Secret") != SECRET:
            status, body, kind, fields = 401, b"who are you?", "text/plain", ()
        self.send_response(status)
        for name, value in (*([("Content-Type", kind)] if kind else []), *fields):
            self.send_header(name, value)
        if kind:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer.request_queue_size = 128
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
