"""`crossdock history` on a real record."""

import asyncio
import json

import pytest

from gateway.cli import main
from tests.gateway.test_holder_command import settings_file

pytestmark = [pytest.mark.integration, pytest.mark.long]
__all__ = ["settings_file"]


async def test_it_tells_how_far_history_reaches_and_what_it_lies_in(settings_file, capsys):
    def run(*arguments):
        status = main(["history", "--settings", str(settings_file), *arguments])
        return status, capsys.readouterr().out

    status, text = await asyncio.to_thread(run)
    assert status == 0
    assert "history reaches back to the first report; it is kept for 400 days" in text
    assert [line.split()[1] for line in text.splitlines()[2:]] == [
        "movement_carried",
        "movement_first",
        "figure_carried",
        "figure_first",
    ]
    status, told = await asyncio.to_thread(run, "--json")
    assert (status, json.loads(told)["since"], json.loads(told)["kept"]["movement_days"]) == (0, None, 60)
