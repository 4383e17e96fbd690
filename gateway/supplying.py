"""What `crossdock supplier` does, with its answers for people or as JSON. Each function returns the exit status.

The process API `procure-to-pay` does the same for programs.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

import msgspec

from gateway.app import Core
from gateway.governance import print_json, print_table
from gateway.kernel.context import Caller
from gateway.kernel.shell import caller_at_shell
from gateway.settings import Settings
from process_apis.procure_to_pay.models import Purchase
from process_apis.procure_to_pay.process import ProcureToPay
from process_apis.procure_to_pay.schemas import supplier_view
from process_apis.procure_to_pay.suppliers import Step, Supplier

Answer = TypeVar("Answer")
_PAGE: Final = 100
_SCOPES: Final = frozenset({"suppliers:read", "suppliers:write"})
Told = tuple[Supplier, Purchase | None]
"""A supplier and its test order, if one was sent."""


def show_all(settings: Settings, *, as_json: bool) -> int:
    """Print every supplier, the eldest first."""

    async def work(core: Core) -> list[Told]:
        found: list[Told] = []
        after: str | None = None
        while page := await core.procurement.suppliers.listed(settings.tenant, after=after, limit=_PAGE):
            after = page[-1].supplier
            samples = await core.procurement.samples.sent(settings.tenant, [each.supplier for each in page])
            found += [(each, samples.get(each.supplier)) for each in page]
        return found

    found = _with(settings, work)
    if as_json:
        print_json({"suppliers": [_view(*each) for each in found]})
    elif found:
        print_table(("SUPPLIER", "NAME", "STATE", "PARTNER", "MISSING", "TEST ORDER"), [_row(*each) for each in found])
    else:
        sys.stdout.write("no supplier is known: `crossdock supplier add NAME --code SOURCE=CODE` adds one\n")
    return 0


def show(settings: Settings, supplier: str, *, as_json: bool) -> int:
    """Print one supplier, the steps that are done of its onboarding, and what became of its test order."""

    async def work(core: Core) -> Told:
        return await _told(core.procurement, await core.procurement.suppliers.get(settings.tenant, supplier))

    return _tell(_with(settings, work), as_json=as_json)


def add(settings: Settings, name: str, *, codes: Mapping[str, str], partner: str | None, as_json: bool) -> int:
    """Make a supplier known."""
    return _changed(
        settings,
        lambda process, caller: process.suppliers.make_known(caller, name=name, codes=codes, partner=partner),
        as_json=as_json,
    )


def change(settings: Settings, supplier: str, *, codes: Mapping[str, str], partner: str | None, as_json: bool) -> int:
    """Say what more systems call it, or which partner speaks for it."""
    return _changed(
        settings,
        lambda process, caller: process.suppliers.change(caller, supplier, codes=codes, partner=partner),
        as_json=as_json,
    )


def finish_step(settings: Settings, supplier: str, step: Step, *, note: str | None, as_json: bool) -> int:
    """Note a step of its onboarding as done."""
    return _changed(
        settings,
        lambda process, caller: process.suppliers.finish_step(caller, supplier, step, note),
        as_json=as_json,
    )


def suspend(settings: Settings, supplier: str, *, suspended: bool, reason: str, as_json: bool) -> int:
    """Send it no new orders, or again."""
    return _changed(
        settings,
        lambda process, caller: process.suppliers.suspend(caller, supplier, suspended=suspended, reason=reason),
        as_json=as_json,
    )


def send_sample(settings: Settings, supplier: str, *, as_json: bool) -> int:
    """Send it its test order; again tells how that one stands."""

    async def work(process: ProcureToPay, caller: Caller) -> Supplier:
        await process.samples.send(caller, supplier)
        return await process.suppliers.get(settings.tenant, supplier)

    return _changed(settings, work, as_json=as_json)


def _changed(
    settings: Settings, change_of: Callable[[ProcureToPay, Caller], Awaitable[Supplier]], *, as_json: bool
) -> int:
    async def work(core: Core) -> Told:
        caller = caller_at_shell(settings.tenant, core.clock, _SCOPES)
        return await _told(core.procurement, await change_of(core.procurement, caller))

    return _tell(_with(settings, work), as_json=as_json)


def _with(settings: Settings, work: Callable[[Core], Awaitable[Answer]]) -> Answer:
    async def opened() -> Answer:
        async with Core(settings).opened() as core:
            return await work(core)

    return asyncio.run(opened())


async def _told(process: ProcureToPay, supplier: Supplier) -> Told:
    return supplier, (await process.samples.sent(supplier.tenant, [supplier.supplier])).get(supplier.supplier)


def _tell(told: Told, *, as_json: bool) -> int:
    supplier, sample = told
    if as_json:
        print_json(_view(supplier, sample))
        return 0
    facts = {
        "supplier": supplier.supplier,
        "name": supplier.name,
        "state": supplier.state.value,
        "partner": supplier.partner or "none: nobody speaks for it at the suppliers' door",
        "codes": ", ".join(f"{source}={code}" for source, code in sorted(supplier.codes.items())) or "none",
        "missing": ", ".join(supplier.missing) or "nothing",
        "test order": _sample_words(sample),
    }
    with suppress(BrokenPipeError):
        for name, value in facts.items():
            sys.stdout.write(f"{name:<12} {value}\n")
        for step in supplier.steps:
            sys.stdout.write(f"{step.step:<12} {step.at:%Y-%m-%d %H:%M} by {step.by}{_noted(step.note)}\n")
    return 0


def _noted(note: str | None) -> str:
    return f": {note}" if note else ""


def _view(supplier: Supplier, sample: Purchase | None) -> dict[str, Any]:
    told = None
    if sample is not None:
        told = {
            "id": sample.purchase,
            "number": sample.number,
            "state": sample.state.value,
            "sent_at": None if sample.approved_at is None else sample.approved_at.isoformat(),
            "acknowledged_at": None if sample.acknowledged_at is None else sample.acknowledged_at.isoformat(),
            "needs": [each.need.detail for each in sample.needs],
        }
    return {**msgspec.to_builtins(supplier_view(supplier)), "test_order": told}


def _row(supplier: Supplier, sample: Purchase | None) -> tuple[str, ...]:
    return (
        supplier.supplier, supplier.name, supplier.state.value, supplier.partner or "", ", ".join(supplier.missing),
        _sample_words(sample),
    )  # fmt: skip


def _sample_words(sample: Purchase | None) -> str:
    if sample is None:
        return "not sent"
    if sample.needs:
        return f"{sample.number}: {sample.needs[0].need.detail}"
    if sample.acknowledged_at is not None:
        return f"{sample.number}: answered {sample.acknowledged_at:%Y-%m-%d}"
    sent = f" since {sample.approved_at:%Y-%m-%d}" if sample.approved_at else ""
    return f"{sample.number}: awaits its answer{sent}"
