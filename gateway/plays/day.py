"""`crossdock up`: starts the stack, prints where it is, keeps it running, and with the demo plays a lively day."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
from msgspec import Struct

from gateway.kernel.ids import new_id
from gateway.plays.demo import SITES, Demo
from gateway.plays.main_job import PLAY_SKUS
from gateway.plays.partner_client import PartnerClient
from gateway.plays.progress import Progress
from gateway.plays.stack import Stack
from gateway.settings import load_settings

_PAUSE_SECONDS: Final = (0.4, 2.0)
_SKUS: Final = tuple(sku for number in range(100, 200) if (sku := f"SKU-{number:04d}") not in PLAY_SKUS)


class Options(Struct, frozen=True, kw_only=True):
    """What `crossdock up` was asked for. `port` None: the one of the last run, else 8080, else a free one."""

    demo: bool
    lively: bool
    port: int | None
    workers: int
    as_json: bool


async def up(folder: Path, options: Options, *, progress: Progress) -> int:
    """Run until cancelled; then stop everything in order. Raises CancelledError when that comes before it is up."""
    stack = Stack(folder, demo=options.demo, port=options.port, gateway_workers=options.workers, progress=progress)
    async with stack:
        progress.done()
        sys.stdout.write(_as_json(stack) if options.as_json else _where(stack))
        sys.stdout.flush()
        with contextlib.suppress(asyncio.CancelledError):
            if stack.demo is not None and options.lively:
                await Day(stack.demo, stack.settings_path).play()
            await asyncio.Event().wait()
        progress.resume()
    return 0


def _where(stack: Stack) -> str:
    running = stack.running
    token = (stack.folder / "secrets" / "console-bootstrap").read_text(encoding="utf-8")
    lines = [
        "",
        f"  gateway   {running.gateway_url}",
        f"  console   {running.console_url}   (first sign-in: {token})",
        f"  data      {running.folder}",
    ]
    if running.demo:
        lines.append(f"  try       {_command()} play main-job{_folder(stack)}    in another terminal")
    return "\n".join([*lines, "  Ctrl-C stops everything.", ""]) + "\n"


def _as_json(stack: Stack) -> str:
    running = stack.running
    shown = {name: getattr(running, name) for name in ("gateway_url", "console_url", "settings", "folder", "demo")}
    shown["console_first_sign_in_file"] = str(stack.folder / "secrets" / "console-bootstrap")
    return msgspec.json.encode(shown).decode() + "\n"


def _command() -> str:
    """What to type for this command: its name where the shell finds it, else how it was called."""
    return "crossdock" if shutil.which("crossdock") else shlex.quote(sys.argv[0])


def _folder(stack: Stack) -> str:
    usual = Path(".crossdock").absolute()
    return "" if stack.folder == usual else f" --folder {shlex.quote(str(stack.folder))}"


class Day:
    """Buyers ask and order, warehouses pick, ship, receive and count, at a pace that can be watched."""

    def __init__(self, demo: Demo, settings_path: Path) -> None:
        self._demo = demo
        self._settings = load_settings(settings_path)
        self._chance = random.Random()  # noqa: S311 - a lively day, not a secret
        self._open: list[tuple[str, str]] = []

    async def play(self) -> None:
        """Until cancelled. What fails for a moment is left out; the next turn goes on."""
        async with PartnerClient(self._settings.http.public_url, self._demo.credentials()) as partner:
            while True:
                turn = self._chance.choice(
                    (self._order, self._order, self._ship, self._ship, self._receive, self._count)
                )
                with contextlib.suppress(httpx.HTTPError):
                    await turn(partner)
                await asyncio.sleep(self._chance.uniform(*_PAUSE_SECONDS))

    async def _order(self, partner: PartnerClient) -> None:
        number = new_id("day")
        skus = self._chance.sample(_SKUS, self._chance.randint(1, 4))
        body = {
            "external_number": number,
            "ship_to": {
                "name": "Harbor Outfitters",
                "street": "12 Quay Street",
                "city": "Portland",
                "postal_code": "04101",
                "country": "US",
            },
            "lines": [{"sku": sku, "quantity": str(self._chance.randint(1, 5))} for sku in skus],
        }
        key = {"Idempotency-Key": number}
        answer = await partner.call("order", "POST", "/storefront/v1/orders", body=body, headers=key)
        if answer.status_code == httpx.codes.CREATED:
            self._open.append((answer.json()["id"], number))

    async def _ship(self, _: PartnerClient) -> None:
        if not self._open:
            return
        order, _number = self._open.pop(0)
        done = [await self._control(instance, "ship", client_reference=order) for instance in self._demo.warehouses]
        if not any(done) and len(self._open) < len(_SKUS):
            self._open.append((order, _number))

    async def _receive(self, _: PartnerClient) -> None:
        instance, code = self._place()
        sku, amount = self._chance.choice(_SKUS), str(self._chance.randint(5, 20))
        if await self._control(instance, "receive", warehouse=code, client_sku=sku, quantity=amount):
            await self._control(instance, "putaway", warehouse=code, client_sku=sku, quantity=amount)

    async def _count(self, _: PartnerClient) -> None:
        instance, code = self._place()
        change = str(self._chance.choice((-1, 1, 2)))
        await self._control(
            instance, "adjust", warehouse=code, client_sku=self._chance.choice(_SKUS), quantity=change, reason="count"
        )

    def _place(self) -> tuple[str, str]:
        site = self._chance.choice(SITES)
        return site.instance, site.wms_code

    async def _control(self, instance: str, name: str, **body: Any) -> bool:
        url = self._demo.warehouses[instance].url
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(f"{url}/_control/{name}", json=body)
        return answer.status_code == httpx.codes.OK
