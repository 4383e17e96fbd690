"""A partner's webhook receiver for plays: verifies with the `standardwebhooks` package, logs, answers 204 or 401.

    python -m gateway.plays.receiver --port 0 --log FILE --secret-file FILE

Prints the port it listens on. Each line of the log is ``{"received_at", "headers", "body" (base64), "verified"}``.
"""

from __future__ import annotations

import argparse
import base64
import ctypes
import json
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any

import standardwebhooks

_PR_SET_PDEATHSIG = 1


class Receiver(ThreadingHTTPServer):
    """Listens on loopback; one log, written a line at a time."""

    daemon_threads = True

    def __init__(self, port: int, log: Path, secret_file: Path) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self._log = log
        self._secret_file = secret_file
        self._lock = Lock()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A sender that was killed in mid-request is no news; anything else is."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def take(self, headers: dict[str, str], body: bytes) -> bool:
        """Verify and log one webhook; returns whether it verified."""
        try:
            hook = standardwebhooks.Webhook(self._secret_file.read_text(encoding="utf-8").strip())
            hook.verify(body, headers)
            verified = True
        except (standardwebhooks.WebhookVerificationError, OSError):
            verified = False
        entry = {
            "received_at": time.time(),
            "headers": headers,
            "body": base64.b64encode(body).decode(),
            "verified": verified,
        }
        with self._lock, self._log.open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")
        return verified


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(length)
        verified = self.server.take({k.lower(): v for k, v in self.headers.items()}, body)
        self.send_response(204 if verified else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Quiet: the log file has it all."""


def main() -> None:
    """Serve until a signal, or until the parent ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--secret-file", type=Path, required=True)
    arguments = parser.parse_args()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    receiver = Receiver(arguments.port, arguments.log, arguments.secret_file)
    sys.stdout.write(f"{receiver.server_port}\n")
    sys.stdout.flush()
    receiver.serve_forever()


if __name__ == "__main__":
    main()
