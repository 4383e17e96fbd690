"""A life of commands, killed at every seam that a clean run of it showed, and delivered again by who comes after."""

from __future__ import annotations

from collections import Counter

WHENS = ("before", "during", "after")


def spread(points, number):
    """So many of them, from all over: for the tests of every day."""
    step = max(1, len(points) // number)
    return points[::step][:number]


def as_told(answers):
    """Answers without the ids of claims, in the order of lines; a movement that is known already was recorded."""
    known = ("recorded", "duplicate", "superseded")
    return {
        number: "recorded"
        if isinstance(answer, str) and answer in known
        else sorted(part[1:] for part in answer)
        if isinstance(answer, list)
        else answer
        for number, answer in answers.items()
    }


async def at_every_seam(processes, life, books_of, *, number=None, again=1, **plan):
    """One life per point: what was answered stands, and the books end as those of the life that nobody killed.

    `life` gives the commands of a turn, which leave the record as it was but for what they name after the turn, and
    `books_of` what became of it. `again` processes deliver it again, at once. With `number`, so many points are tried.
    Returns how often it died at which seam.
    """
    [whole] = await processes.side_by_side({**plan, "commands": life("whole")})
    failed = [answer for answer in whole["answers"].values() if str(answer).startswith("failed")]
    assert (whole["code"], failed) == (0, []), whole
    expected, books = as_told(whole["answers"]), await books_of("whole")
    points = [(when, nth) for nth in range(1, len(whole["seams"]) + 1) for when in WHENS]
    died = Counter()
    for turn, (when, nth) in enumerate(points if number is None else spread(points, number)):
        here = (when, nth, whole["seams"][nth - 1])
        [first] = await processes.side_by_side({**plan, "commands": life(turn), "die": [when, nth]})
        assert first["killed"], here
        after = await processes.side_by_side(*[{**plan, "commands": life(turn)}] * again)
        for second in after:
            assert second["code"] == 0, here
            answered = {each: answer for each, answer in first["answers"].items() if isinstance(answer, list)}
            assert {each: second["answers"][each] for each in answered} == answered, f"{here}: a promise changed"
            assert as_told(second["answers"]) == expected, (here, second["answers"], expected)
        assert (now := await books_of(turn)) == books, (here, now, books)
        died[first["seams"][-1]] += 1
    wrong = await processes.wrong()
    assert wrong == {}, wrong
    return died
