"""`crossdock hold-rules` on a real record: a rule in a file is previewed, and a file that is none is told where."""

import asyncio
import json

import pytest

from gateway.cli import main

pytestmark = pytest.mark.integration
_RULE = {
    "name": "large", "when": {"kind": "amount", "currency": "USD", "above": "10"}, "then": "hold",
    "business_owner": "sales", "reason": "a large one is looked at",
}  # fmt: skip


@pytest.fixture
async def settings_file(install):
    return await install({})


async def test_a_rule_in_a_file_is_previewed_and_a_file_that_is_none_is_told_where(settings_file, tmp_path, capsys):
    async def run(*arguments):
        status = await asyncio.to_thread(main, ["hold-rules", *arguments, "--settings", str(settings_file)])
        return status, capsys.readouterr()

    file = tmp_path / "rule.json"
    file.write_text(json.dumps(_RULE))
    status, told = await run("preview", str(file), "--json")
    assert (status, json.loads(told.out)) == (0, {"looked": 0, "since": None, "found": []})
    assert (await run("preview", str(file)))[1].out.endswith("0 of the last 0 orders would have been held\n")
    for wrong, last, where in (({**_RULE, "when": {"kind": "luck"}}, "5", "luck"), (_RULE, "1001", "$.last")):
        file.write_text(json.dumps(wrong))
        status, told = await run("preview", str(file), "--last", last)
        assert (status, where in told.err) == (2, True)
    assert json.loads((await run("list", "--json"))[1].out) == {"rules": []}
