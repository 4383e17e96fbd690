"""An answer on its way out of a sandbox, and what a fault makes of it."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from gateway.sandboxes.faults import Rule
from gateway.sandboxes.http import HttpAnswer

JSON: Final = (("content-type", "application/json"),)
_BROKEN: Final = b'{"result": [[[{"id'


def json_answer(status: int, body: Any, headers: tuple[tuple[str, str], ...] = ()) -> HttpAnswer:
    """A JSON answer."""
    return HttpAnswer(status, json.dumps(body, ensure_ascii=False).encode(), (*JSON, *headers))


async def deliver(rule: Rule | None, answer: HttpAnswer, *, failure: Any) -> HttpAnswer:
    """`answer`, or what `rule` makes of it: late, cut off, garbled, throttled, or `failure` in its place."""
    if rule is None:
        return answer
    if rule.do.startswith("hang"):
        await asyncio.sleep(rule.seconds)
        return HttpAnswer(cut=True) if rule.do == "hang_before" else answer
    if rule.do.startswith("drop"):
        return HttpAnswer(cut=True)
    if rule.do == "garbage":
        return HttpAnswer(200, _BROKEN, JSON)
    if rule.do == "throttle":
        return HttpAnswer(429, answer.body, (*JSON, ("retry-after", str(max(1, round(rule.seconds))))))
    return json_answer(rule.status, failure)
