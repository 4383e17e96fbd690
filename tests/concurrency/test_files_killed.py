"""A worker that takes files from a folder, killed at every commit of theirs and at every file that is put away."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from .deaths import WHENS

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

LINES = 1_100


def event(turn, number):
    """One EA more; a file of these takes three batches."""
    return {
        "specversion": "1.0", "type": "crossdock.stock.movement_reported.v1", "source": "wms_n",
        "id": f"f-{turn}-{number}", "time": "2026-11-01T00:00:05Z",
        "data": {"movement": "stock_adjusted", "epoch": 1, "sequence": 10 + number, "lines": [
            {"item": "X-A" if number % 100 else "X-NEW", "location": "N", "amount": "1", "uom": "EA"}]},
    }  # fmt: skip


def drop(folder, turn):
    folder.mkdir()
    text = "".join(json.dumps(event(turn, number)) + "\n" for number in range(LINES))
    (folder / "a.jsonl").write_text(text)
    (folder / "b.jsonl").write_text(text.replace('"amount": "1"', '"amount": "x"', 1))


async def killed(world, processes, tmp_path):
    """Each death in a folder of its own, with a good file and one that is refused; two workers come after."""

    def read(turn):
        return {"commands": [{"do": "read_files", "folder": str(tmp_path / str(turn))}]}

    drop(tmp_path / "whole", "whole")
    [whole] = await processes.side_by_side(read("whole"))
    assert whole["answers"] == {"0": "read"}
    points = [[when, nth] for nth in range(1, len(whole["seams"]) + 1) for when in WHENS]
    died, good = Counter(), LINES - LINES // 100
    for turn, point in enumerate(points, 1):
        folder = tmp_path / str(turn)
        drop(folder, turn)
        [first] = await processes.side_by_side(read(turn) | {"die": point})
        assert first["killed"], point
        after = await processes.side_by_side(read(turn), read(turn))
        assert [each["answers"] for each in after] == [{"0": "read"}] * 2, point
        assert await world.positions() == {"sellable": good * (1 + turn)}, point
        parked = await world.store.fetchval(
            "select count(*) from availability.parked where event_id like $1", f"f-{turn}-%"
        )
        assert parked == LINES // 100, point
        for name, where in (("a", "done"), ("b", "refused")):
            put = sorted(path.name for path in (folder / where).iterdir() if not path.name.endswith(".part"))
            assert len(put) == 2, (point, put)
            assert put[1] == f"{put[0]}.report.json", point
            assert put[0].startswith(f"{name}.jsonl."), point
        assert [path.name for path in folder.iterdir() if path.is_file()] == [], point
        died[first["seams"][-1]] += 1
    wrong = await processes.wrong()
    assert wrong == {}, wrong
    return died


@pytest.mark.long
async def test_a_worker_killed_at_every_seam_of_a_file_counts_each_line_once_and_puts_it_away(
    world, processes, tmp_path
):
    died = await killed(world, processes, tmp_path)
    print(f"files: {died.total()} deaths at {dict(died)}")  # noqa: T201 - the count is what is asked for
    assert sum(number for name, number in died.items() if name.startswith("rename")) == 4 * len(WHENS)
