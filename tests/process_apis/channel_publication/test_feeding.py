"""Feed files: whole or not there, each change in one of them, whatever dies between."""

import csv
import hashlib
import json

import pytest

from gateway.kernel.errors import Conflict, Misconfigured
from process_apis.channel_publication.feeding import Feed, FeedOptions
from process_apis.channel_publication.subscriptions import subscriptions

pytestmark = pytest.mark.integration


@pytest.fixture
def fed(world, tmp_path):
    """The world with a feed that its changes are marked for."""
    options = FeedOptions(channel="web", folder=tmp_path / "feeds", delta_seconds=1e9, full_seconds=1e9)
    world._hear = subscriptions([options.key])[0]

    def feed():
        return Feed(world.store, world.clock, "acme", options, items=world.items, availability=world.availability)

    world.feed, world.folder = feed, options.folder
    return world


def read(folder):
    """What a partner reads: the pointer, then the file, by its checksum."""
    told = json.loads((folder / "availability-web.json").read_text())
    body = (folder / told["file"]).read_bytes()
    digest = hashlib.sha256(body).hexdigest()
    assert told["sha256"] == digest
    assert (folder / f"{told['file']}.sha256").read_text() == f"{digest}  {told['file']}\n"
    rows = list(csv.DictReader(body.decode().splitlines()))
    assert len(rows) == told["rows"]
    return told, {row["sku"]: int(row["available_to_sell"]) for row in rows}


async def test_the_first_file_has_everything_and_the_next_what_changed(fed):
    await fed.stock_of({"A": 20, "SKU/1 #é": 3})
    await fed.hear()
    await fed.feed().write_due()
    told, rows = read(fed.folder)
    assert (told["kind"], told["number"], rows) == ("full", 1, {"A": 20, "B": 0, "SKU/1 #é": 3})
    assert await fed.feed().write(full=False) is None  # nothing changed since
    await fed.stock_of({"A": 19})
    await fed.stock_of({"A": 18, "B": 4})
    await fed.hear()
    await fed.feed().write(full=False)
    told, rows = read(fed.folder)
    assert (told["kind"], told["number"], told["previous"], told["full_number"]) == ("delta", 2, 1, 1)
    assert rows == {"A": 18, "B": 4}
    assert await fed.feed().write_due() is None  # neither is due by time


@pytest.mark.long
async def test_a_crash_between_file_and_record_writes_the_number_again_with_all_that_changed(fed, monkeypatch):
    await fed.stock_of({"A": 20})
    await fed.feed().write(full=True)
    await fed.stock_of({"A": 19})
    await fed.hear()
    dying = fed.feed()
    put = dying._put

    def put_and_die(*given):
        put(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(dying, "_put", put_and_die)
    with pytest.raises(KeyboardInterrupt):
        await dying.write(full=False)
    await fed.stock_of({"B": 7})
    await fed.hear()
    await fed.feed().write(full=False)
    told, rows = read(fed.folder)
    assert (told["number"], rows) == (2, {"A": 19, "B": 7})


@pytest.mark.long
async def test_of_two_that_write_at_once_one_says_so_and_nothing_is_lost(fed, monkeypatch):
    await fed.feed().write(full=True)
    await fed.stock_of({"A": 5})
    await fed.hear()
    late = fed.feed()
    changed = late._changed

    async def overtaken(items):
        rows = await changed(items)
        await fed.feed().write(full=False)
        return rows

    monkeypatch.setattr(late, "_changed", overtaken)
    with pytest.raises(Conflict):
        await late.write(full=False)
    told, rows = read(fed.folder)
    assert (told["number"], rows) == (2, {"A": 5})
    assert [path.name for path in fed.folder.iterdir() if path.name.startswith(".")] == []


@pytest.mark.long
async def test_a_full_file_takes_those_before_the_last_full_one_with_it(fed):
    for amount in (1, 2, 3):
        await fed.stock_of({"A": amount})
        await fed.hear()
        await fed.feed().write(full=True)
    names = sorted(path.name for path in fed.folder.glob("*.csv"))
    assert names == ["availability-web-000000002-full.csv", "availability-web-000000003-full.csv"]


@pytest.mark.long
async def test_a_folder_that_cannot_be_written_is_named(fed):
    fed.folder.parent.mkdir(exist_ok=True)
    fed.folder.write_text("a file")
    with pytest.raises(Misconfigured, match="feeds"):
        await fed.feed().write(full=True)
