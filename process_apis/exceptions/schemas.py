"""The shapes of exceptions on the wire. Amounts of money are exact decimals, as strings."""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from gateway.canonical.trouble import TroubleClass
from gateway.kernel.quantity import plain
from process_apis.exceptions.bulk import Bulk
from process_apis.exceptions.models import Entry, Revision, Step, Wanted

Instant = Annotated[datetime, Meta(tz=True)]
Reason = Annotated[
    str, Meta(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)", examples=["counted by hand"])
]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Person = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)", examples=["ada"])]


class ExceptionView(Struct, kw_only=True, rename={"class_": "class"}):
    """What stands still, and who looks after it.

    `rank` is 0 to 99, the most urgent highest; `value` is the money behind it. `count` messages wait; it failed anew
    `seen` times. With `by_itself_at` it is tried again then without anybody's help. `verbs` is what it takes.
    """

    id: str
    kind: Annotated[str, Meta(description="Who keeps it: dead_letter, parked, order and others.")]
    class_: Annotated[
        str,
        Meta(
            description="transient, throttled, mapping, validation, sequence, vendor_outage, business, defect.",
        ),
    ]
    effect: str
    rank: int
    fault_domain: Annotated[str, Meta(description="A system instance, a partner, or `ours`.")]
    code: str
    detail: str
    about: str
    state: Annotated[str, Meta(description="open, assigned, retrying, resolved or ignored.")]
    assignee: str | None
    count: int
    seen: int
    value: str | None
    currency: str | None
    verbs: list[str]
    raised_at: Instant
    last_at: Instant
    by_itself_at: Instant | None
    asked_by: str | None
    asked_at: Instant | None
    ended_at: Instant | None
    ended_by: str | None
    reason: str | None
    version: int


class StepView(Struct, kw_only=True):
    """One line of its history."""

    number: int
    at: Instant
    actor: str
    what: str
    reason: str | None
    code: str | None
    detail: str | None


class RevisionView(Struct, kw_only=True):
    """One edit: by whom, when and why. What it changed is part of the payload."""

    number: int
    at: Instant
    actor: str
    reason: str


class ExceptionDetail(Struct, kw_only=True):
    """One exception with its history."""

    exception: ExceptionView
    history: list[StepView]
    revisions: list[RevisionView]


class ExceptionPage(Struct, kw_only=True):
    """The most urgent first."""

    items: list[ExceptionView]
    next_cursor: str | None


class PayloadView(Struct, kw_only=True):
    """What stands still, as it is; null where nothing can be shown. `version` is what an edit has to name."""

    version: int
    payload: dict[str, Any] | None


class AssignmentInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """Whose it is from now on; null gives it back."""

    assignee: Person | None


class IgnoringInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """Why it need not be done: kept, and audited."""

    reason: Reason


class EditInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is tried instead, and why; `version` is that of the exception as it was read."""

    payload: dict[str, Any]
    reason: Reason
    version: int


class BulkInput(Struct, kw_only=True, forbid_unknown_fields=True, rename={"class_": "class"}):
    """Which exceptions, of those that are not over, and what to do with each of them. What is left out is any."""

    verb: Literal["retry", "ignore"]
    reason: Reason
    kind: Name | None = None
    class_: TroubleClass | None = None
    fault_domain: Name | None = None
    error_code: Name | None = None
    raised_from: Instant | None = None
    raised_before: Instant | None = None


class BulkView(Struct, kw_only=True):
    """A bulk: `waiting`, `done`, `skipped` (changed or over meanwhile) and `failed` make its `size`."""

    id: str
    verb: str
    reason: str
    state: Annotated[str, Meta(description="planned, running, done or cancelled.")]
    size: int
    waiting: int
    done: int
    skipped: int
    failed: int
    planned_by: str
    planned_at: Instant
    begun_by: str | None
    begun_at: Instant | None
    ended_by: str | None
    ended_at: Instant | None


class BulkPage(Struct, kw_only=True):
    """Bulks, newest first."""

    items: list[BulkView]
    next_cursor: str | None


def bulk_view(bulk: Bulk) -> BulkView:
    """A bulk on the wire."""
    names = [name for name in BulkView.__struct_fields__ if name != "id"]
    return BulkView(id=bulk.bulk, **{name: getattr(bulk, name) for name in names})


def wanted_of(given: BulkInput) -> Wanted:
    """Which entries are meant."""
    return Wanted(
        kind=given.kind,
        error_class=given.class_,
        fault_domain=given.fault_domain,
        code=given.error_code,
        raised_from=given.raised_from,
        raised_before=given.raised_before,
    )


def exception_view(entry: Entry) -> ExceptionView:
    """An entry on the wire."""
    same = (
        "rank", "fault_domain", "code", "detail", "about", "kind", "assignee", "count", "seen", "currency", "raised_at",
        "last_at", "by_itself_at", "asked_by", "asked_at", "ended_at", "ended_by", "reason", "version",
    )  # fmt: skip
    return ExceptionView(
        id=entry.entry,
        class_=entry.error_class.value,
        effect=entry.effect.value,
        state=entry.state.value,
        value=None if entry.value is None else plain(entry.value),
        verbs=[verb.value for verb in entry.verbs],
        **{name: getattr(entry, name) for name in same},
    )


def step_view(step: Step) -> StepView:
    """A line of the history on the wire."""
    return StepView(**{name: getattr(step, name) for name in StepView.__struct_fields__})


def revision_view(revision: Revision) -> RevisionView:
    """An edit on the wire."""
    return RevisionView(**{name: getattr(revision, name) for name in RevisionView.__struct_fields__})
