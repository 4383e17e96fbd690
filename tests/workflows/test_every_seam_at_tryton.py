"""What no sandbox takes, told with a real Tryton as its ERP: credit notes, receipts and invoices of suppliers."""

from __future__ import annotations

import pytest

from tests.workflows.at_tryton import running_site_at_tryton
from tests.workflows.failing import holds_at_every_seam, holds_at_some_seams
from tests.workflows.stories import AT_TRYTON

pytestmark = [pytest.mark.integration, pytest.mark.long]
_SOME, _MANY = 30, 600
_ENOUGH = 8
_EVERY_STORY = pytest.mark.parametrize("story", AT_TRYTON, ids=lambda story: story.name)


@pytest.fixture(scope="module")
async def site(urls, tryton_cache, tmp_path_factory):
    async with running_site_at_tryton(urls, tryton_cache, tmp_path_factory, _SOME) as made:
        yield made


@pytest.fixture
async def large_site(urls, tryton_cache, tmp_path_factory):
    async with running_site_at_tryton(urls, tryton_cache, tmp_path_factory, _MANY) as made:
        yield made


@pytest.mark.timeout(7200)
@_EVERY_STORY
async def test_whatever_fails_at_any_seam_trytons_books_end_as_if_nothing_had(large_site, story):
    await holds_at_every_seam(large_site, story)


@pytest.mark.timeout(1200)
@_EVERY_STORY
async def test_some_seams_of_every_story_at_tryton_fail(site, story):
    await holds_at_some_seams(site, story, _ENOUGH)
