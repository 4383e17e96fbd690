"""Whatever runs durably, and whatever it asks of systems, has a story whose seams are failed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway import app, worker
from gateway.durable.turns import Turns
from process_apis.order_to_ship.models import TaskKind
from process_apis.order_to_ship.workflow import Turns as OrderTurns
from tests.workflows.stories import AT_TRYTON, STORIES

ROOT = Path(__file__).parents[2]
_ADVICE = "write a story for what is new (tests/workflows/stories.py)"


@pytest.fixture
def durable(monkeypatch):
    """The workflows that a worker registers."""
    registered = []
    monkeypatch.setattr(worker, "Durable", lambda *_, workflows, **__: registered.extend(workflows))
    monkeypatch.setattr(app, "apis_of", lambda core, _: worker.Worker(core, None))
    app.published_apis()
    return registered


def kinds_of(workflow):
    """The tasks that a workflow's turns ask for."""
    turns = workflow.run.__self__
    if isinstance(turns, OrderTurns):
        return {f"order_to_ship.{kind}" for kind in TaskKind}
    assert isinstance(turns, Turns), f"{workflow.name} runs other turns than those whose tasks are listed here"
    schema, _, _ = workflow.name.partition(".")
    return {f"{schema}.{kind}" for kind in turns._works}


def test_every_kind_of_task_of_every_workflow_has_a_story(durable):
    assert durable
    told = {kind for story in (*STORIES, *AT_TRYTON) for kind in story.kinds}
    asked = {kind for workflow in durable for kind in kinds_of(workflow)}
    assert asked == told, _ADVICE


def test_every_table_of_tasks_is_a_workflows_that_the_worker_runs(durable):
    statements = [path.read_text(encoding="utf-8") for path in ROOT.glob("process_apis/*/migrations/*.sql")]
    tables = {schema for text in statements for schema in re.findall(r"create table (\w+)\.task\b", text)}
    assert tables == {workflow.name.partition(".")[0] for workflow in durable}
