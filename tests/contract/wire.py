"""Hostile requests as bytes on a socket, and what came back: whole responses, one after the other.

Nothing is normalised on the way out. No exchange takes longer than `SECONDS`: a request that is answered later, or
never, fails its test.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from running_gateway import RunningGateway

SECONDS = 60
_AT_ONCE = 12


@dataclass(frozen=True)
class Answer:
    """One response. `status` 0 stands for a connection that was closed without one."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def code(self) -> str:
        """The problem's code; empty when the server refused before us, or it is no problem."""
        if self.headers.get("content-type") != "application/problem+json":
            return ""
        return str(json.loads(self.body)["code"])


@dataclass(frozen=True)
class Case:
    """A request and the answers that are right. `codes` empty: the server may refuse it before us, without a body."""

    name: str
    raw: bytes
    statuses: frozenset[int]
    codes: frozenset[str] = frozenset()


def request(line: str | bytes, *fields: str | bytes, host: str = "a", body: bytes = b"", close: bool = True) -> bytes:
    """The bytes of a request; `host` empty leaves the field out."""
    given = [part if isinstance(part, bytes) else part.encode("latin-1") for part in (line, *fields)]
    own = ([f"Host: {host}".encode()] if host else []) + ([b"Connection: close"] if close else [])
    return b"\r\n".join([given[0], *own, *given[1:], b"", b""]) + body


async def exchange(gateway: RunningGateway, *parts: bytes) -> list[Answer]:
    """Send `parts` and read until the server closes, or hangs up on us."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    received = b""
    try:
        async with asyncio.timeout(SECONDS):
            with suppress(ConnectionError):
                for part in parts:
                    writer.write(part)
                    await writer.drain()
            with suppress(ConnectionError):
                while piece := await reader.read(65_536):
                    received += piece
    finally:
        writer.close()
    return parse(received)


def parse(received: bytes) -> list[Answer]:
    """The responses in what was received; every one of ours says its length, or has no body."""
    answers = []
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        assert first.startswith("HTTP/1."), head[:200]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        answers.append(Answer(int(first.split(" ", 2)[1]), headers, received[:length]))
        received = received[length:]
    return answers


async def answer(gateway: RunningGateway, raw: bytes) -> Answer:
    """The one response to `raw`; more than one would be a request that was smuggled in."""
    answers = await exchange(gateway, raw)
    assert len(answers) <= 1, (raw[:300], answers)
    return answers[0] if answers else Answer()


async def misfits(gateway: RunningGateway, cases: Iterable[Case]) -> list[str]:
    """What was answered otherwise than its case allows, with as many at once as a small machine bears."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(case: Case) -> str:
        async with gate:
            try:
                got = await answer(gateway, case.raw)
            except (TimeoutError, AssertionError) as error:
                return f"{case.name}: {type(error).__name__} {error}"
        return _complaint(case, got)

    complaints = await asyncio.gather(*(one(case) for case in cases))
    return [complaint for complaint in complaints if complaint]


def _complaint(case: Case, got: Answer) -> str:
    told = f"{case.name}: {got.status} {got.code or got.body[:80]!r}, not {sorted(case.statuses)} {sorted(case.codes)}"
    if got.status not in case.statuses:
        return told
    if case.codes and got.code not in case.codes:
        return told
    if got.status >= 400 and got.body and not got.code:
        return f"{case.name}: {got.status} is not told as a problem: {got.body[:200]!r}"
    if got.code and problem_of(got)["request_id"] != got.headers.get("x-request-id"):
        return f"{case.name}: its request id is told in two ways"
    return ""


def problem_of(got: Answer) -> dict[str, Any]:
    """The problem details of an answer."""
    problem: dict[str, Any] = json.loads(got.body)
    assert problem["status"] == got.status, problem
    return problem
