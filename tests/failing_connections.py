"""A PostgreSQL connection that cannot be made, or fails at the first statement, in each way that asyncpg tells."""

import asyncpg
import pytest

each_failure = pytest.mark.parametrize(
    "failure",
    [
        OSError("gone"),
        TimeoutError(),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.AdminShutdownError("terminating connection due to administrator command"),
        asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
    ],
    ids=lambda failure: type(failure).__name__,
)


class FailingConnection:
    """Fails with `failure` once it is asked, unless that is None; `ended` when it was closed or given up."""

    def __init__(self, failure):
        self._failure = failure
        self.ended = False

    def add_termination_listener(self, _):
        pass

    def is_closed(self):
        return self.ended

    def terminate(self):
        self.ended = True

    async def close(self, **_):
        self.ended = True

    async def fetchval(self, *_, **__):
        raise self._failure

    async def fetch(self, _, missing, **__):
        if self._failure is not None:
            raise self._failure
        return [{"name": name} for name in missing]


def connecting_fails(monkeypatch, failure):
    """No connection can be made from now on."""

    async def connect(*_, **__):
        raise failure

    monkeypatch.setattr(asyncpg, "connect", connect)


def connecting_gives(monkeypatch, failure):
    """The one connection that is made from now on, which fails at its first statement."""
    made = FailingConnection(failure)

    async def connect(*_, **__):
        return made

    monkeypatch.setattr(asyncpg, "connect", connect)
    return made
