"""Exchanges with Tryton, written down and played back: a `Session` for each."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gateway.canonical.capabilities import Call
from gateway.outbound.session import Response, Session

RECORDED: Final = Path(__file__).parent / "recorded"
_LOGIN: Final = "common.db.login"


def _question(body: bytes) -> dict[str, Any]:
    """A request without what differs each time, or must not be written down: its number, and the password."""
    asked = json.loads(body)
    return {"method": asked["method"], "params": [] if asked["method"] == _LOGIN else asked["params"]}


class Recorder:
    """Passes requests on and keeps what was asked and answered."""

    def __init__(self, inner: Session) -> None:
        self._inner = inner
        self.exchanges: list[dict[str, Any]] = []

    async def request(self, method: str, path: str, *, call: Call, body: bytes = b"", **more: Any) -> Response:
        response = await self._inner.request(method, path, call=call, body=body, **more)
        plain = gzip.decompress(response.body) if response.body[:2] == b"\x1f\x8b" else response.body
        question = _question(body)
        answer = {"id": 0, "result": [1, "session", None]} if question["method"] == _LOGIN else json.loads(plain)
        self.exchanges.append({**question, "status": response.status, "answer": answer})
        return response

    def save(self, name: str) -> None:
        lines = ",\n".join(json.dumps(exchange, ensure_ascii=False) for exchange in self.exchanges)
        (RECORDED / f"{name}.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


class Player:
    """Answers as Tryton did: each recorded exchange once, and only the one that was asked for."""

    def __init__(self, name: str) -> None:
        self._left: list[dict[str, Any]] = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
        self.asked: list[str] = []

    async def request(
        self,
        method: str,
        path: str,
        *,
        call: Call,
        body: bytes = b"",
        headers: Mapping[str, str] = {},
        safe: bool,
    ) -> Response:
        question = _question(body)
        self.asked.append(question["method"])
        for index, exchange in enumerate(self._left):
            if (exchange["method"], exchange["params"]) == (question["method"], question["params"]):
                del self._left[index]
                return Response(exchange["status"], {}, json.dumps(exchange["answer"]).encode())
        raise AssertionError(f"never recorded, so record again: {question}")
