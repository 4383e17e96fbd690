"""Records the scenarios against a fresh live sandbox:  python -m tests.system_apis.tryton.record"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from gateway.kernel.clock import SystemClock
from gateway.outbound.door import Outbound
from system_apis.tryton.adapter import Adapter
from system_apis.tryton.sandbox import TrytonSandbox
from tests.system_apis.tryton.exchanges import Recorder
from tests.system_apis.tryton.scenarios import SCENARIOS


async def main() -> None:
    for name, scenario in SCENARIOS.items():
        with tempfile.TemporaryDirectory() as folder:
            sandbox = TrytonSandbox(Path(".crossdock/cache/tryton"), Path(folder), progress=sys.stderr.write)
            await sandbox.start()
            async with Outbound() as outbound:
                recorder = Recorder(outbound.session("tryton", sandbox.url))
                await scenario(Adapter("erp", sandbox.settings(), recorder, SystemClock()))
            await sandbox.stop()
            recorder.save(name)
            sys.stdout.write(f"{name}: {len(recorder.exchanges)} exchanges\n")


if __name__ == "__main__":
    asyncio.run(main())
