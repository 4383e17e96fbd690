"""What `crossdock hold-rules` does: lists rules, and tells what one would have held before it is made.

Each function returns the command's exit status.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Final

import msgspec

from gateway.app import Core
from gateway.governance import print_json, print_table
from gateway.kernel.errors import Rejected
from gateway.kernel.shell import caller_at_shell
from gateway.settings import Settings
from process_apis.order_to_ship import hold_rule_schemas as schemas

_SCOPES: Final = frozenset({"rules:read"})
_RULES: Final = ("RULE", "WHEN", "THEN", "ACTIVE", "FROM", "OWNER", "REASON")
_FOUND: Final = ("ORDER", "NUMBER", "CHANNEL", "ACCOUNT", "TOTAL", "PLACED", "STATE", "WHY")


def show(settings: Settings, *, as_json: bool) -> int:
    """Print what holds or refuses orders now, inactive rules too, and what is to come."""

    async def look() -> schemas.HoldRuleList:
        async with Core(settings).opened() as core:
            return schemas.HoldRuleList(rules=schemas.rule_views(await core.orders.hold_rules.known(settings.tenant)))

    found = asyncio.run(look())
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        print_table(_RULES, [_rule_row(each) for each in found.rules])
    return 0


def preview(settings: Settings, file: Path, last: int, *, as_json: bool) -> int:
    """Print which of the `last` orders the rule in `file` would have held or refused, and why.

    Raises `Rejected` (``hold_rule.unreadable``) for a file that is no rule.
    """
    asked = _read(file, last)

    async def look() -> schemas.HoldRulePreview:
        async with Core(settings).opened() as core:
            caller = caller_at_shell(settings.tenant, core.clock, _SCOPES)
            found = await core.orders.hold_previews.preview(caller, schemas.change_of(asked.rule), last=asked.last)
            return schemas.preview_view(found)

    found = asyncio.run(look())
    if as_json:
        print_json(msgspec.to_builtins(found))
        return 0
    print_table(_FOUND, [_found_row(each) for each in found.found])
    since = f", placed since {found.since:%Y-%m-%d %H:%M}" if found.since else ""
    does = "refused" if asked.rule.then == "refuse" else "held"
    sys.stdout.write(f"{len(found.found)} of the last {found.looked} orders would have been {does}{since}\n")
    return 0


def _read(file: Path, last: int) -> schemas.HoldRulePreviewInput:
    try:
        rule = msgspec.json.decode(file.read_bytes())
        return msgspec.convert({"rule": rule, "last": last}, schemas.HoldRulePreviewInput)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Rejected(f"{file}: {error}", code="hold_rule.unreadable") from None


def _rule_row(rule: schemas.HoldRuleView) -> tuple[str, ...]:
    terms = msgspec.to_builtins(rule.when)
    when = " ".join([terms.pop("kind"), *(f"{name}={value}" for name, value in terms.items())])
    begins = f"{rule.effective_from:%Y-%m-%d %H:%M}"
    return rule.name, when, rule.then, "yes" if rule.active else "no", begins, rule.business_owner, rule.reason


def _found_row(found: schemas.FoundOrder) -> tuple[str, ...]:
    total, placed = f"{found.total} {found.currency}", f"{found.placed_at:%Y-%m-%d %H:%M}"
    return (
        found.order_id, found.external_number, found.channel, found.sold_to, total, placed, str(found.state), found.why,
    )  # fmt: skip
