"""How a sandbox answers when a fault is due."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from gateway.sandboxes.faults import Rule
from gateway.sandboxes.http import HttpAnswer


async def delivered(rule: Rule | None, answer: HttpAnswer, fault: Any) -> HttpAnswer:
    """`answer`, or what `rule` makes of it; `fault` is the vendor's body for an error.

    ``_before`` has nothing done yet: that is the caller's, who makes no `answer` then.
    """
    if rule is None:
        return answer
    if rule.do.startswith("hang"):
        await asyncio.sleep(rule.seconds)
        return HttpAnswer(cut=True) if rule.do == "hang_before" else answer
    if rule.do.startswith("drop"):
        return HttpAnswer(cut=True)
    if rule.do == "garbage":
        return HttpAnswer(200, b'{"number": 7, "lines": [[[', answer.headers)
    body = json.dumps(fault).encode()
    if rule.do == "throttle":
        return HttpAnswer(429, body, (*answer.headers, ("retry-after", str(max(1, round(rule.seconds))))))
    return HttpAnswer(rule.status, body, answer.headers)
