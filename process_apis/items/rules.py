"""What comes of what a source says of items. Pure.

A code once known stays with its item, whatever its SKU becomes. Of several sources the one that spoke first counts,
attribute by attribute, until somebody decides otherwise (`gateway/reference/survivorship.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from gateway.canonical.item import ReportedItem
from gateway.canonical.units import is_unit, no_unit
from gateway.kernel.quantity import UnitConversion
from gateway.reference.outcomes import Refusal
from gateway.reference.survivorship import Ownership, Statement, restated
from process_apis.items.describing import PACK, counted, implied, item_of, said_of_report
from process_apis.items.models import Change, Code, Known, KnownItem, Plan, RefusedItem

_LONGEST_SKU: Final = 64


def changes_of(reported: Iterable[ReportedItem]) -> tuple[list[Change], list[RefusedItem]]:
    """What a system says that lists items, and what of it is not taken: items, and units that nobody knows."""
    changes: list[Change] = []
    refused: list[RefusedItem] = []
    seen: set[str] = set()
    for each in reported:
        if (refusal := _unlisted(each, seen)) is not None:
            refused.append(refusal)
            continue
        seen.add(each.source_code)
        strange = [pack.uom for pack in each.packs if not is_unit(pack.uom)]
        refused += [_refused(each, "item.unit_unknown", f"taken without it: {no_unit(uom)}") for uom in strange]
        said = said_of_report(each)
        changes.append(
            Change(
                record=each.source_code,
                sku=each.sku,
                own=each.source_code,
                attributes={name: said[name] for name in said if name.removeprefix(PACK) not in strange},
                whole=True,
            )
        )
    return changes, refused


def _unlisted(each: ReportedItem, seen: set[str]) -> RefusedItem | None:
    if each.source_code in seen:
        return _refused(each, "item.code_repeated", "the source lists this code twice: give each item one code")
    units = [each.base_uom, *(pack.uom for pack in each.packs)]
    if len(set(units)) != len(units):
        return _refused(each, "item.unit_repeated", "a unit is given twice: keep one factor per unit")
    if any(not _is_factor(pack) for pack in each.packs):
        return _refused(each, "item.factor_invalid", "a pack has no positive factor: correct it in the source")
    return None


def _is_factor(pack: UnitConversion) -> bool:
    return pack.factor.is_finite() and pack.factor > 0


def _refused(each: ReportedItem, code: str, detail: str) -> RefusedItem:
    return RefusedItem(source_code=each.source_code, sku=each.sku, code=code, detail=detail)


def plan(
    source: str,
    changes: Sequence[Change],
    known: Known,
    owners: Mapping[str, Ownership],
    now: datetime,
    new_item: Callable[[], str],
) -> Plan:
    """Let `source` say `changes`, one after the other, of what is `known` (which follows); `new_item` makes an id."""
    desk = _Desk(source, known, owners, now, new_item)
    for change in changes:
        refusal = _unfit(change) or desk.take(change)
        if refusal is not None:
            desk.made.refused.append(refusal)
    return desk.made


def recounted(known: Known, owners: Mapping[str, Ownership]) -> Plan:
    """What counts of `known` when `owners` decide; a SKU that would name two items is refused."""
    made = Plan()
    for item, entry in known.items.items():
        statements = said_of(known, entry)
        counts = item_of(item, counted(statements, owners, entry.item.base_uom), entry.item)
        if counts == entry.item:
            continue
        if known.skus.get(counts.sku, item) != item:
            made.refused.append(_sku_taken(entry.item.sku, counts.sku))
            continue
        known.skus[counts.sku] = item
        made.described[item] = counts
        made.said |= {(item, each.source): each for each in statements if item not in known.said}
    return made


def said_of(known: Known, entry: KnownItem) -> list[Statement]:
    """What is said of an item; of one that was taken in before statements were kept, what its publisher said."""
    return known.said.get(entry.item.item) or [implied(entry.item, entry.publisher, entry.changed_at)]


class _Desk:
    """Changes of one source on their way into a plan. What they come to is known to those that follow."""

    def __init__(
        self,
        source: str,
        known: Known,
        owners: Mapping[str, Ownership],
        now: datetime,
        new_item: Callable[[], str],
    ) -> None:
        self.made = Plan()
        self._source = source
        self._known = known
        self._owners = owners
        self._now = now
        self._new_item = new_item
        self._listed: set[str] = set()

    def take(self, change: Change) -> Refusal | None:
        """Add it to the plan, or tell why it cannot hold."""
        known, found = self._known, self._find(change)
        if found is None and change.item is not None:
            return Refusal(change.record, "sku", "item.not_found", "there is no such item: look it up by its SKU")
        if found is None and change.sku is not None:
            change = replace(change, attributes={"sku": change.sku, **change.attributes}, own=change.own or change.sku)
        clash = next((code for code in change.codes if known.codes.get(code, found) != found), None)
        if clash is not None:
            detail = f"{clash[1]!r} means another item ({clash[0]}): correct one of the two"
            return Refusal(change.record, f"code:{clash[0]}", "item.code_taken", detail)
        entry = None if found is None else known.items[found]
        before = [] if entry is None else said_of(known, entry)
        statement = self._restated(change, before)
        if statement is not None:
            said = [*(each for each in before if each.source != self._source), statement]
            if (refusal := self._cannot_hold(change, entry, said)) is not None:
                return refusal
            found = found or self._new_item()
            self._describe(found, change, entry, said)
        assert found is not None  # noqa: S101 - what was not there has been described just now
        fresh = self._coded(found, change)
        if entry is not None:
            same = statement is None and not fresh
            (self.made.unchanged if same else self.made.changed).append(change.record)
        self.made.items[change.record] = found
        return None

    def _find(self, change: Change) -> str | None:
        known = self._known
        if change.item is not None:
            return change.item if change.item in known.items else None
        by_code = None if change.own is None else known.codes.get((self._source, change.own))
        return by_code or (None if change.sku is None else known.skus.get(change.sku))

    def _restated(self, change: Change, before: Sequence[Statement]) -> Statement | None:
        if not change.attributes and not change.whole:
            return None
        mine = next((each for each in before if each.source == self._source), None)
        return restated(mine, self._source, change.attributes, self._now, whole=change.whole)

    def _cannot_hold(self, change: Change, entry: KnownItem | None, said: Sequence[Statement]) -> Refusal | None:
        values = counted(said, self._owners, None)
        if entry is None:
            missing = next((name for name in ("sku", "name", "base_uom") if values.get(name) is None), None)
            if missing is not None:
                detail = f"{missing} is empty, and {change.sku!r} is new: a new item needs one"
                return Refusal(change.record, missing, "item.incomplete", detail)
            return _sku_taken(change.record, values["sku"]) if values["sku"] in self._known.skus else None
        item, base = entry.item, values.get("base_uom", entry.item.base_uom)
        if base != item.base_uom:
            detail = (
                f"stock of {item.sku} is counted in {item.base_uom}, and goes on so: give what is counted in {base}"
            )
            return Refusal(change.record, "base_uom", "item.base_unit_fixed", f"{detail} a SKU of its own")
        sku = values.get("sku") or item.sku
        twice = change.own is not None and item.item in self._listed
        taken = self._known.skus.get(sku, item.item) != item.item
        return _sku_taken(change.record, sku) if taken or twice else None

    def _describe(self, item: str, change: Change, entry: KnownItem | None, said: Sequence[Statement]) -> None:
        made, known = self.made, self._known
        before = None if entry is None else entry.item
        counts = item_of(item, counted(said, self._owners, before.base_uom if before else None), before)
        if entry is None:
            made.created.append(change.record)
        if counts != before:
            made.described[item] = counts
            known.skus[counts.sku] = item
        kept = said if item not in known.said else said[-1:]
        made.said |= {(item, each.source): each for each in kept}
        known.said[item] = list(said)
        if entry is None:
            known.items[item] = KnownItem(counts, self._source, 0, self._now)
        else:
            known.items[item] = KnownItem(counts, entry.publisher, entry.version, entry.changed_at)

    def _coded(self, item: str, change: Change) -> list[Code]:
        own = [] if change.own is None else [(self._source, change.own)]
        fresh = [code for code in (*own, *change.codes) if code not in self._known.codes]
        self._known.codes |= dict.fromkeys(fresh, item)
        self.made.codes |= dict.fromkeys(fresh, item)
        self._listed.add(item)
        return fresh


def _unfit(change: Change) -> Refusal | None:
    said = change.attributes
    if any(name in said and not str(said[name] or "").strip() for name in ("sku", "base_uom")):
        detail = "SKU or base unit is empty: complete the item in its source"
        return Refusal(change.record, "sku", "item.incomplete", detail)
    sku = said.get("sku")
    if sku is not None and (len(sku) > _LONGEST_SKU or not sku.isprintable()):
        detail = "a SKU has at most 64 printable characters: shorten or clean it in its source"
        return Refusal(change.record, "sku", "item.sku_unfit", detail)
    units = {name: name.removeprefix(PACK) for name in said if name.startswith(PACK)}
    units |= {"base_uom": said["base_uom"]} if "base_uom" in said else {}
    for attribute, unit in units.items():
        if not is_unit(unit):
            return Refusal(change.record, attribute, "item.unit_unknown", no_unit(unit))
        if attribute != "base_uom" and unit == said.get("base_uom"):
            detail = "a unit is given twice: keep one factor per unit"
            return Refusal(change.record, attribute, "item.unit_repeated", detail)
        if attribute != "base_uom" and said[attribute] is not None and Decimal(said[attribute]) <= 0:
            detail = "a pack has no positive factor: correct it in the source"
            return Refusal(change.record, attribute, "item.factor_invalid", detail)
    return None


def _sku_taken(record: str, sku: str) -> Refusal:
    detail = f"another item has the SKU {sku!r}: give one of them another number"
    return Refusal(record, "sku", "item.sku_taken", detail)
