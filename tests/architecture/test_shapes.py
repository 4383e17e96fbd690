"""What turns keep in the record, held to what `gateway/durable/shapes.toml` says of the present shape."""

from gateway.canonical.task import TaskState as SharedTaskState
from gateway.durable.shapes import CURRENT
from process_apis.order_to_ship import models as orders
from process_apis.order_to_ship.steps import StepKind
from process_apis.procure_to_pay import posting
from process_apis.returns import models as returns
from process_apis.returns import records as returned
from process_apis.stock_operations import models as stock_operations
from process_apis.stock_operations import records as operations

_IN_TURNS = (posting.tasks, returned.tasks, operations.tasks)
_WORDS = {
    "workflows": (orders.WORKFLOW, posting.WORKFLOW, returns.WORKFLOW, stock_operations.WORKFLOW),
    "states of tasks": SharedTaskState,
    "kinds of tasks": [kind for each in _IN_TURNS for kind in each.kinds],
    "kinds of an order's steps": StepKind,
    "kinds of an order's tasks": orders.TaskKind,
    "states of an order's tasks": orders.TaskState,
    "states of an order's move between ERPs": orders.MoveState,
}


def test_the_present_shape_has_the_words_that_turns_keep():
    """A word came or went. Is a release with this shape out? Then declare a new one, and whether it succeeds this."""
    code = {name: tuple(map(str, words)) for name, words in _WORDS.items()}
    assert dict(CURRENT.vocabulary) == code, "gateway/durable/shapes.toml says when this is a new shape"
