"""Which changes a page of reported items asks for. Pure.

The first source that reports a SKU publishes the item: its description counts. Another source with the same SKU adds
its own code and changes nothing else. A code once known stays with its item, whatever its SKU becomes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from gateway.canonical.item import ReportedItem
from process_apis.items.models import Known, KnownItem, Plan, RefusedItem, item_of_report

_LONGEST_SKU: Final = 64


def plan(source: str, reported: Sequence[ReportedItem], known: Known, new_item: Callable[[], str]) -> Plan:
    """Compare `reported` with what is `known`; `new_item` makes an id."""
    made = Plan(described=[], created=set(), codes={}, unchanged=0, refused=[])
    skus: dict[str, str] = {sku: entry.item.item for sku, entry in known.by_sku.items()}
    seen: set[str] = set()
    for each in reported:
        if (refusal := _refuse(each, seen)) is not None:
            made.refused.append(refusal)
            continue
        seen.add(each.source_code)
        entry = known.by_code.get(each.source_code) or known.by_sku.get(each.sku)
        if entry is None:
            _create(made, each, skus, new_item)
        else:
            _compare(made, source, each, entry, known, skus)
    return made


def _refuse(each: ReportedItem, seen: set[str]) -> RefusedItem | None:
    if each.source_code in seen:
        return _refused(each, "item.code_repeated", "the source lists this code twice: give each item one code")
    if not each.sku.strip() or not each.base_uom.strip():
        return _refused(each, "item.incomplete", "SKU or base unit is empty: complete the item in its source")
    if len(each.sku) > _LONGEST_SKU or not each.sku.isprintable():
        return _refused(
            each, "item.sku_unfit", "a SKU has at most 64 printable characters: shorten or clean it in its source"
        )
    units = [each.base_uom, *(pack.uom for pack in each.packs)]
    if len(set(units)) != len(units):
        return _refused(each, "item.unit_repeated", "a unit is given twice: keep one factor per unit")
    if any(not pack.factor.is_finite() or pack.factor <= 0 for pack in each.packs):
        return _refused(each, "item.factor_invalid", "a pack has no positive factor: correct it in the source")
    return None


def _create(made: Plan, each: ReportedItem, skus: dict[str, str], new_item: Callable[[], str]) -> None:
    if each.sku in skus:
        made.refused.append(_taken(each))
        return
    item = item_of_report(new_item(), each)
    skus[item.sku] = item.item
    made.described.append(item)
    made.created.add(item.item)
    made.codes[each.source_code] = item.item


def _compare(made: Plan, source: str, each: ReportedItem, entry: KnownItem, known: Known, skus: dict[str, str]) -> None:
    current = entry.item
    described = item_of_report(current.item, each, current.dated)
    changed = entry.publisher == source and described != current
    if changed and skus.get(each.sku, current.item) != current.item:
        made.refused.append(_taken(each))
        return
    if changed:
        skus[each.sku] = current.item
        made.described.append(described)
    if each.source_code not in known.by_code:
        made.codes[each.source_code] = current.item
    elif not changed:
        made.unchanged += 1


def _taken(each: ReportedItem) -> RefusedItem:
    return _refused(each, "item.sku_taken", "another item has this SKU: give one of them another number")


def _refused(each: ReportedItem, code: str, detail: str) -> RefusedItem:
    return RefusedItem(source_code=each.source_code, sku=each.sku, code=code, detail=detail)
