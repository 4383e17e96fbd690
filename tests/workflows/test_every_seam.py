"""Every call and every commit of every workflow, as a clean run passes them, failed in turn in each way there is."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.workflows.books import books_of
from tests.workflows.seams import FAULTS
from tests.workflows.stories import STORIES

pytestmark = pytest.mark.integration
_EACH_DAY = 3


async def told(site, story, armed=None):
    """The books after one telling, in which a seam is armed."""
    article = site.article()
    site.seams.watch(armed)
    try:
        subject = await story(site, article)
    finally:
        site.seams.rest()
    await site.rest()
    return await books_of(site, article, subject)


async def clean(site, story):
    """The books after a run without a fault, twice the same, and its seams."""
    expected = await told(site, story)
    seams = site.seams.points
    assert await told(site, story) == expected, "two clean runs differ"
    return expected, seams


async def wrong_after(site, story, expected, points):
    """What is not as `expected` after faults at `points`, by point."""
    wrong = {}
    for number, kind, what, fault in points:
        found = {}
        try:
            found = await told(site, story, (number, fault))
        except Exception as error:  # noqa: BLE001 - told with its seam
            found["raised"] = f"{type(error).__name__}: {error}"
        if not site.seams.met:
            found["met"] = False
        if found != expected:
            differing = {name for name in {*found, *expected} if found.get(name) != expected.get(name)}
            wrong[number, kind, what, fault] = {name: (found.get(name), expected.get(name)) for name in differing}
    return wrong


def every(seams):
    """Each way to fail, at each seam."""
    return [(number, kind, what, fault) for number, kind, what in seams for fault in FAULTS[kind]]


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.xdist_group("workflows")
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
async def test_whatever_fails_at_any_seam_the_books_end_as_if_nothing_had(site, story):
    expected, seams = await clean(site, story)
    points = every(seams)
    deaths = site.deaths
    wrong = await wrong_after(site, story, expected, points)
    ways = Counter(f"{kind} {fault}" for _, kind, _, fault in points)
    print(*(f"{number:3d} {kind} {what}" for number, kind, what in seams), sep="\n")  # noqa: T201
    print(f"{story.__name__}: {len(seams)} seams, {len(points)} faults, {site.deaths - deaths} deaths", dict(ways))  # noqa: T201
    assert not wrong, f"{len(wrong)} of {len(points)}: {list(wrong.items())[:6]}"
    await site.is_lawful()


@pytest.mark.xdist_group("workflows")
async def test_some_of_them_every_day_and_what_is_left_behind_is_seen(site):
    story = STORIES[0]
    expected, seams = await clean(site, story)
    points = every(seams)
    some = points[1 :: len(points) // _EACH_DAY][:_EACH_DAY]
    wrong = await wrong_after(site, story, expected, some)
    assert not wrong, wrong
    await site.is_lawful()
    assert await told(site, spoilt) != expected, "a missing piece was not seen"


async def spoilt(site, article):
    """The first story, but that a piece goes missing beside it."""
    subject = await STORIES[0](site, article)
    await site.work("wms_north", "adjust", warehouse="NOR1", item_code=article.code, quantity="-1", reason="lost")
    return subject
