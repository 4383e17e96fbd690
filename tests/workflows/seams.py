"""Where a workflow touches the world: each call to another system, each commit, each statement that commits by itself.

A `Seams` notes those that are passed while it watches, in their order; armed with one of them it does there what a
fault does, once. Whoever adds a step adds its seams by that: nothing is listed here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
from pathlib import Path

import asyncpg
import httpx

from gateway.store import postgres
from gateway.store.postgres import Store

CALL = "call"
READ = "read"
COMMIT = "commit"
# What a call may come to, one that only reads by what its system says, and a commit. A slow twin is a request whose
# sender has given it up, and which arrives all the same: right after the next call to its system (the look-up), or only
# after itself was sent once more.
FAULTS = {
    CALL: (
        "error", "throttled", "timeout", "timeout after success", "slow twin", "slower twin", "crash before",
        "crash after",
    ),
    READ: ("error", "throttled", "timeout", "crash after"),
    COMMIT: ("lost", "lost after success", "crash before", "crash after"),
}  # fmt: skip
_TWINS = {"slow twin", "slower twin"}
_WRITES = re.compile(r"\b(insert|update|delete|merge)\b(?! skip| of)", re.IGNORECASE)
_LOCKS = re.compile(r"\bfor (no key )?update\b", re.IGNORECASE)
_WROTE = "select pg_current_xact_id_if_assigned() is not null"
_NUMBERS = re.compile(r"/(?!v\d)[^/]*\d[^/]*")
# Of a system that takes every request under one address (JSON-RPC) the method that the body names tells them apart.
_RPC = "/rpc/"
_RPC_READS = re.compile(r"\.(search|search_read|search_count|read|login)$")
_OURS = ("process_apis", "system_apis", "gateway")
_COMMENT = re.compile(r"--[^\n]*")


class KilledError(BaseException):
    """This process ends here, as by kill -9: from now on nothing of it has any effect."""


class Seams:
    """What is passed, and the one that is armed. `died` is set once a crash came; `reborn` begins anew."""

    def __init__(self):
        self.watching = False
        self.passed = []
        self.idle = set()
        self.met = False
        self.died = asyncio.Event()
        self.held = []
        self._armed = None

    def watch(self, armed=None):
        """From now on; `armed` are a seam, the how manieth of its name from 1, its kind and name, and its fault."""
        self.watching, self.passed, self.idle, self.met, self._armed = True, [], set(), False, armed

    @property
    def points(self):
        """Each that was passed while something was done: the how manieth of its kind and name, kind and name."""
        return [(self.passed[:n].count(each), *each) for n, each in enumerate(self.passed, 1) if n not in self.idle]

    @contextlib.contextmanager
    def part(self, done):
        """A part of the work: what is passed in it does not count when `done`, a list, has nothing true at its end."""
        start = len(self.passed)
        yield
        if not any(done):
            self.idle.update(range(start + 1, len(self.passed) + 1))

    def rest(self):
        """No longer."""
        self.watching = False

    @contextlib.contextmanager
    def aside(self):
        """What comes before a story, and is another one's: nothing that is passed in it is a seam of this one."""
        watching, self.watching = self.watching, False
        yield
        self.watching = watching

    def reborn(self):
        """The process is another one."""
        self.died.clear()

    def reach(self, kind, what):
        """The fault that is met here, None where there is none."""
        if self.died.is_set():
            raise KilledError
        if not self.watching:
            return None
        self.passed.append((kind, what))
        if self._armed is None or (self.passed.count((kind, what)), kind, what) != self._armed[:3]:
            return None
        self.met = True
        return self._armed[3]

    def die(self):
        """End here."""
        self.died.set()
        raise KilledError

    async def let_arrive(self, system=None, again=None):
        """Deliver what is held back: all of it, or what waits for an answer of `system` to such a call."""
        for held in list(self.held):
            of, called, fault, send = held
            if system is None or (of == system and (fault == "slow twin" or again == called)):
                self.held.remove(held)
                with contextlib.suppress(Exception):
                    await send()


class SeamTransport(httpx.AsyncBaseTransport):
    """A transport whose requests are seams."""

    def __init__(self, inner, seams, system):
        self._inner, self._seams, self._system = inner, seams, system

    async def handle_async_request(self, request):
        called = _called(request)
        kind = READ if _RPC_READS.search(called) else CALL
        fault = self._seams.reach(kind, f"{_NUMBERS.sub('/…', called)} {_who()}")
        if fault in ("crash before", "error", "throttled", "timeout") or fault in _TWINS:
            return self._kept_from(request, called, fault)
        answer = await self._inner.handle_async_request(request)
        if fault == "crash after":
            await answer.aread()
            self._seams.die()
        if fault == "timeout after success":
            await answer.aread()
            raise httpx.ReadTimeout("no answer in time", request=request)
        if self._seams.held:
            await answer.aread()
            await self._seams.let_arrive(self._system, called)
        return answer

    def _kept_from(self, request, called, fault):
        if fault == "crash before":
            self._seams.die()
        if fault == "error":
            return httpx.Response(503, text="unavailable", request=request)
        if fault == "throttled":
            return httpx.Response(429, headers={"retry-after": "0"}, request=request)
        if fault in _TWINS and request.method != "GET":
            send = lambda: self._inner.handle_async_request(request)  # noqa: E731
            self._seams.held.append((self._system, called, fault, send))
        raise httpx.ReadTimeout("no answer in time", request=request)

    async def aclose(self):
        await self._inner.aclose()


def _called(request):
    called = f"{request.method} {request.url.path}"
    return f"{called} {json.loads(request.content)['method']}" if called.endswith(_RPC) else called


def watch_calls(outbound, seams):
    """Make every request of these sessions a seam."""
    for name, session in outbound._sessions.items():
        session._transport = SeamTransport(session._transport, seams, name)


def watch_commits(monkeypatch, seams):
    """Make every commit to the record a seam, and every statement that writes outside a transaction."""
    plain = postgres._Session.execute

    async def execute(self, query, *args, timeout=None):  # noqa: ASYNC109 - asyncpg's
        if query != "COMMIT;" or not seams.watching or not await self.fetchval(_WROTE):
            return await plain(self, query, *args, timeout=timeout)
        return await _committed(seams, self, lambda: plain(self, query, timeout=timeout))

    monkeypatch.setattr(postgres._Session, "execute", execute)
    for name in ("fetch", "fetchrow", "fetchval", "execute"):
        monkeypatch.setattr(Store, name, _watched(getattr(Store, name), seams))


def _watched(method, seams):
    async def statement(self, query, *args):
        if _WRITES.search(_LOCKS.sub("", _COMMENT.sub("", query))) is None:
            return await method(self, query, *args)
        return await _committed(seams, None, lambda: method(self, query, *args))

    return statement


async def _committed(seams, connection, commit):
    fault = seams.reach(COMMIT, _who())
    if fault == "crash before":
        seams.die()
    if fault == "lost":
        raise _gone(connection)
    answer = await commit()
    if fault == "crash after":
        seams.die()
    if fault == "lost after success":
        raise _gone(connection)
    return answer


def _gone(connection):
    if connection is not None:
        connection.terminate()
        return asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
    return postgres.Unavailable("PostgreSQL does not answer", code="store.unavailable")


def _who():
    """The innermost function of a process or an adapter that is under way, else of the product.

    What every request of an adapter passes tells nothing: its client, and what looks codes up.
    """
    names, frame = [], sys._getframe(2)
    while frame is not None:
        path = frame.f_code.co_filename
        passed = path.endswith(("/client.py", "/directory.py"))
        if "/tests/" not in path and not passed and any(f"/{part}/" in path for part in _OURS):
            names.append(("gateway" in path, f"{Path(path).parent.name}/{Path(path).stem}.{frame.f_code.co_name}"))
        frame = frame.f_back
    return next((name for outside, name in names if not outside), names[-1][1] if names else "elsewhere")
