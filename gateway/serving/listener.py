"""The port of the figures: ``/metrics`` in the Prometheus text format, ``/workers`` who serves, as JSON.

Threads of their own answer here, in the server's process: a scrape waits for no worker longer than a second, and costs
requests nothing but the workers' own answer.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

from gateway.kernel.errors import Misconfigured

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_CLIENT_SECONDS: Final = 10.0


def bound(host: str, port: int, backlog: int) -> socket.socket:
    """A listening socket that child processes inherit; `Misconfigured` where it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as error:
        raise Misconfigured(
            f"cannot listen at {host} port {port}: {error.strerror}. Choose another address in the settings, or end "
            "who listens there"
        ) from error
    listening.set_inheritable(True)
    return listening


class _Handler(WSGIRequestHandler):
    timeout = _CLIENT_SECONDS

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
        """Scrapes are no news."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class MetricsListener:
    """Serves on `listening`, which is bound already, from `start` to `close`.

    `refresh` is called before a scrape, `workers` answers ``/workers``.
    """

    def __init__(
        self,
        listening: socket.socket,
        registry: CollectorRegistry,
        *,
        refresh: Callable[[], None],
        workers: Callable[[], bytes],
    ) -> None:
        self._server = _Server(listening.getsockname()[:2], _Handler, bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = listening
        self._server.base_environ = {}
        self._server.server_name, self._server.server_port = listening.getsockname()[:2]
        self._server.setup_environ()
        self._server.set_app(self._answer)
        self._exposition = make_wsgi_app(registry)
        self._refresh = refresh
        self._workers = workers

    def start(self) -> None:
        """Answer from now on."""
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            self._refresh()
            shown: Iterable[bytes] = self._exposition(environ, start_response)
            return shown
        if path == "/workers":
            body, status, kind = self._workers(), "200 OK", "application/json"
        else:
            body, status, kind = b"/metrics and /workers are served here\n", "404 Not Found", "text/plain"
        start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]
