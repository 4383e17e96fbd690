"""Where a process may die: around each commit, each call to another system and each file put in its place.

A `Seams` counts them in the order of its process and names them by who went through. A clean run's names tell a test
where to kill the next one, so that a step which is new is killed at without being listed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from pathlib import Path

import httpx

from gateway.store.postgres import Store

_WRITES = re.compile(r"\b(insert|update|delete|merge)\b(?! skip| of)", re.IGNORECASE)
_LOCKS = re.compile(r"\bfor (no key )?update\b", re.IGNORECASE)
_COMMENT = re.compile(r"--[^\n]*")
_ON_THE_WIRE_S = 0.004


class Seams:
    """Ends (or stops) its process by its own hand at the nth: `when` is before, during or after it, or stopped."""

    def __init__(self, point, tell):
        self.when, self.nth = point or (None, 0)
        self.passed = 0
        self._tell = tell

    def reach(self, what):
        """One more; whether it is the one."""
        self.passed += 1
        self._tell(f"{what} {_who()}")
        mine = self.passed == self.nth
        if mine and self.when == "before":
            die()
        if mine and self.when == "stopped":
            os.kill(os.getpid(), signal.SIGSTOP)
        return mine

    async def around(self, what, act):
        """Await `act()`, unless it is where this process ends."""
        mine = self.reach(what)
        if mine and self.when == "during":
            sent = asyncio.ensure_future(act())
            await asyncio.sleep(_ON_THE_WIRE_S)
            die()
            await sent
        answer = await act()
        if mine and self.when == "after":
            die()
        return answer


def die():
    """As kill -9: nothing is cleaned up, nothing said goodbye."""
    os.kill(os.getpid(), signal.SIGKILL)


class MortalStore(Store):
    """A store whose commits are seams, those of single statements too."""

    def __init__(self, url, seams, size=4):
        super().__init__(url, size=size)
        self.seams = seams

    @contextlib.asynccontextmanager
    async def transaction_on(self, connection):
        async with super().transaction_on(connection):
            yield
            mine = self.seams.reach("commit")
            if mine and self.seams.when == "during":
                sent = asyncio.ensure_future(connection.execute("COMMIT"))
                await asyncio.sleep(0)
                die()
                await sent
        if mine and self.seams.when == "after":
            die()

    async def fetch(self, query, *args):
        return await self._statement(query, lambda: super(MortalStore, self).fetch(query, *args))

    async def fetchrow(self, query, *args):
        return await self._statement(query, lambda: super(MortalStore, self).fetchrow(query, *args))

    async def fetchval(self, query, *args):
        return await self._statement(query, lambda: super(MortalStore, self).fetchval(query, *args))

    async def execute(self, query, *args):
        return await self._statement(query, lambda: super(MortalStore, self).execute(query, *args))

    async def _statement(self, query, act):
        if _WRITES.search(_LOCKS.sub("", _COMMENT.sub("", query))) is None:
            return await act()
        return await self.seams.around("statement", act)


class MortalTransport(httpx.AsyncBaseTransport):
    """A transport whose calls to other systems are seams."""

    def __init__(self, inner, seams):
        self._inner, self._seams = inner, seams

    async def handle_async_request(self, request):
        called = f"{request.method} {request.url.path}"
        return await self._seams.around(called, lambda: self._inner.handle_async_request(request))

    async def aclose(self):
        await self._inner.aclose()


def put_files(seams):
    """Make a seam of every file that is given its final name."""
    plain = Path.replace

    def replace(self, target):
        mine = seams.reach("rename")
        done = plain(self, target)
        if mine and seams.when in ("during", "after"):
            die()
        return done

    Path.replace = replace


def _who():
    """The innermost module and function of the product that is under way."""
    frame = sys._getframe(2)
    while frame is not None:
        path = frame.f_code.co_filename
        if ("/process_apis/" in path or "/system_apis/" in path) and "/tests/" not in path:
            return f"in {Path(path).parent.name}/{Path(path).stem}.{frame.f_code.co_name}"
        frame = frame.f_back
    return "elsewhere"
