import asyncio
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = textwrap.dedent("""
    import asyncio, contextlib, time
    from gateway.canonical.capabilities import Call
    from gateway.kernel.errors import Unavailable
    from gateway.outbound.door import Outbound

    async def main():
        async with Outbound() as outbound:
            call = Call(tenant="t", correlation_id="c", deadline=time.monotonic() + 60)
            with contextlib.suppress(Unavailable):
                await outbound.session("erp", "http://127.0.0.1:9").request("GET", "/", call=call, safe=True)

    asyncio.run(main())
""")


@pytest.mark.integration
async def test_a_process_that_closes_its_pools_ends_with_its_own_exit_code():
    async def run():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, cwd=ROOT, stderr=asyncio.subprocess.DEVNULL
        )
        return await process.wait()

    assert [await run() for _ in range(2)] + await asyncio.gather(run(), run()) == [0, 0, 0, 0]
