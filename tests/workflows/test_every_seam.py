"""Every call and every commit of every workflow, as a clean run passes them, failed in turn in each way there is."""

from __future__ import annotations

import pytest

from tests.workflows.failing import holds_at_every_seam, holds_at_some_seams, told
from tests.workflows.stories import STORIES

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("workflows")]
_EACH_DAY = 2
_EVERY_STORY = pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)


@pytest.mark.long
@pytest.mark.timeout(7200)
@_EVERY_STORY
async def test_whatever_fails_at_any_seam_the_books_end_as_if_nothing_had(large_site, story):
    await holds_at_every_seam(large_site, story)


@_EVERY_STORY
async def test_some_seams_of_every_story_fail_every_day(site, story):
    await holds_at_some_seams(site, story, _EACH_DAY)


async def test_after_all_of_them_the_books_are_lawful_and_what_is_left_behind_would_be_seen(site):
    story = STORIES[0]
    expected = await told(site, story)
    await site.is_lawful()
    assert await told(site, story._replace(tell=spoilt)) != expected, "a missing piece was not seen"


async def spoilt(site, article):
    """The first story, but that a piece goes missing beside it."""
    subjects = await STORIES[0].tell(site, article)
    await site.work("wms_north", "adjust", warehouse="NOR1", item_code=article.code, quantity="-1", reason="lost")
    return subjects
