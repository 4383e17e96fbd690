from functools import partial

from gateway.chores import attempt_all
from gateway.kernel.errors import Unavailable


async def done(names, name):
    names.append(name)


async def fails(error):
    raise error


async def test_a_chore_that_fails_keeps_none_behind_it_from_being_done(caplog):
    names = []
    chores = {
        "first": partial(fails, Unavailable("the ERP does not answer", code="erp.timeout")),
        "second": partial(done, names, "second"),
        "third": partial(fails, ExceptionGroup("two at once", [ValueError("nobody foresaw this")])),
        "fourth": partial(done, names, "fourth"),
    }
    await attempt_all(chores)
    assert names == ["second", "fourth"]
    known, unknown = caplog.records
    assert (known.levelname, known.message) == ("WARNING", "first begins again: the ERP does not answer")
    assert (unknown.levelname, unknown.message) == ("ERROR", "third failed and begins again")
    assert "nobody foresaw this" in caplog.text
