"""A story told without a fault, and told with faults: what differs then."""

from __future__ import annotations

import random
from collections import Counter

from tests.workflows.books import books_of
from tests.workflows.seams import FAULTS

_MET = 0.9


async def holds_at_every_seam(site, story):
    """Every fault at every seam of a story; its seams and the counts are printed."""
    expected, seams = await clean(site, story)
    assert await told(site, story) == expected, "two clean runs differ"
    points = every(seams)
    met, wrong = await failed(site, story, expected, points, len(points))
    ways = Counter(f"{kind} {fault}" for _, kind, _, fault in points)
    print(*(f"{number:3d} {kind} {what}" for number, kind, what in seams), sep="\n")  # noqa: T201
    print(f"{story.name}: {len(seams)} seams, {met} of {len(points)} faults met, {site.deaths} deaths", dict(ways))  # noqa: T201
    assert not wrong, f"{len(wrong)} of {len(points)}: {list(wrong.items())[:6]}"
    assert met >= len(points) * _MET
    await site.is_lawful()


async def holds_at_some_seams(site, story, enough):
    """`enough` faults of a story, drawn by its name."""
    expected, seams = await clean(site, story)
    points = every(seams)
    drawn = random.Random(story.name).sample(points, len(points))
    met, wrong = await failed(site, story, expected, drawn, enough)
    assert not wrong, wrong
    assert met == enough


async def told(site, story, armed=None):
    """The books after one telling, in which a seam is armed."""
    article = site.article()
    site.seams.watch(armed)
    try:
        subjects = await story.tell(site, article)
    finally:
        site.seams.rest()
        site.pace()
    await site.rest()
    return await books_of(site, article, subjects)


async def clean(site, story):
    """The books after a run without a fault, and its seams; it has asked for the kinds of tasks that it says."""
    before = await site.tasks()
    expected = await told(site, story)
    assert (await site.tasks() - before).keys() >= story.kinds | story.by_hand
    return expected, site.seams.points


async def failed(site, story, expected, points, enough):
    """Faults at `points` until `enough` were met: how many were, and what is not as `expected` after them, by point.

    A seam that only some clean runs pass (a turn that came late, and found all done) may not be met.
    """
    wrong, met = {}, 0
    for point in points:
        found = {}
        try:
            found = await told(site, story, point)
        except Exception as error:  # noqa: BLE001 - told with its seam
            found["raised"] = f"{type(error).__name__}: {error}"
        met += site.seams.met
        if found != expected:
            differing = {name for name in {*found, *expected} if found.get(name) != expected.get(name)}
            wrong[point] = {name: (found.get(name), expected.get(name)) for name in differing}
        if met == enough:
            break
    return met, wrong


def every(seams):
    """Each way to fail, at each seam."""
    return [(number, kind, what, fault) for number, kind, what in seams for fault in FAULTS[kind]]
