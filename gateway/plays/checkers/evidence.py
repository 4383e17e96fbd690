"""What every checker does alike: read a log, ask a system on loopback, tell what was found."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

Finding = tuple[str, bool, str]
_SHOWN = 6
_PATIENCE = 60.0


def lines(path: str) -> list[dict[str, Any]]:
    """A log of one JSON object a line; a last one that is being written yet is left out."""
    whole, _, _ = Path(path).read_text(encoding="utf-8").rpartition("\n")
    return [json.loads(line) for line in whole.split("\n") if line.strip()]


def fetch(request: str | urllib.request.Request, **decoding: Any) -> Any:
    """The JSON that answers a request of loopback; no proxy of the environment comes between."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=_PATIENCE) as answer:
        return json.load(answer, **decoding)


def short(found: Iterable[Any]) -> str:
    """The first few, and how many more."""
    listed = [str(one) for one in found]
    return ", ".join(listed[:_SHOWN]) + (f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else "")


def made(checks: Sequence[Callable[..., list[Finding]]], *given: Any) -> list[Finding]:
    """What each check of `given` finds; one that cannot be made has failed."""
    findings: list[Finding] = []
    for check in checks:
        try:
            findings += check(*given)
        except Exception as error:  # noqa: BLE001 - whatever it is, the check was not passed
            findings.append((check.__name__, False, f"{type(error).__name__}: {error}"))
    return findings


def tell(findings: Iterable[Finding]) -> int:
    """Write ``{"check", "ok", "evidence"}``, an object a line; the process's exit code: 1 when any is not ok."""
    exit_code = 0
    for name, ok, evidence in findings:
        sys.stdout.write(json.dumps({"check": name, "ok": bool(ok), "evidence": evidence}) + "\n")
        exit_code = exit_code if ok else 1
    return exit_code
