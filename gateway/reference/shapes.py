"""Provenance, ownership and reports of imports on the wire: the same shapes for every kind of master data."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from gateway.kernel.errors import Rejected
from gateway.reference.importing import Report
from gateway.reference.ownership import Matrix
from gateway.reference.readings import Known, RefusedRecord
from gateway.reference.survivorship import Ownership, Provenance

Text = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$(?!\n)")]


class SaidView(Struct, kw_only=True):
    """What one source says of an attribute. `counts` is false for a source that may not decide it."""

    source: str
    value: str | int | bool | list[str] | None
    since: datetime
    counts: bool


class ProvenanceView(Struct, kw_only=True):
    """Where the value of one attribute comes from. `disputed_by`: those that validate it and say otherwise."""

    attribute: str
    value: str | int | bool | list[str] | None
    source: str | None
    since: datetime | None
    others: list[SaidView]
    disputed_by: list[str]


class ProvenanceList(Struct, kw_only=True):
    """One entry per attribute."""

    attributes: list[ProvenanceView]


class OwnershipView(Struct, kw_only=True):
    """Who owns an attribute: sources ranked, best first; `*` stands for all that are not named."""

    attribute: str
    publishes: list[str]
    enriches: list[str]
    validates: list[str]
    consumes: list[str]


class OwnershipMatrix(Struct, kw_only=True):
    """Who owns what. Version 1 holds until somebody decides."""

    version: int
    attributes: list[OwnershipView]
    changed_by: str | None
    changed_at: datetime | None
    note: str


class OwnershipInput(Struct, kw_only=True, forbid_unknown_fields=True):
    """Who owns an attribute from now on."""

    attribute: Text
    publishes: Annotated[list[Text], Meta(min_length=1, max_length=20)]
    enriches: Annotated[list[Text], Meta(max_length=20)] = []
    validates: Annotated[list[Text], Meta(max_length=20)] = []
    consumes: Annotated[list[Text], Meta(max_length=50)] = []


class OwnershipChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """The attributes that change hands; the others stay."""

    attributes: Annotated[list[OwnershipInput], Meta(min_length=1, max_length=100)]
    note: Annotated[str, Meta(max_length=500, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)")] = ""


class RefusedRowView(Struct, kw_only=True):
    """A row that was not taken: its line in the file, the column, and what to do."""

    line: int
    column: str | None
    code: str
    detail: str


class ImportReport(Struct, kw_only=True):
    """What an import did, or would do (`dry_run`). `applied` is false when nothing was written.

    `refused` lists the first thousand rows that were not taken; `refusals` counts all.
    """

    source: str
    dry_run: bool
    partial: bool
    applied: bool
    rows: int
    created: int
    changed: int
    unchanged: int
    refusals: int
    refused: list[RefusedRowView]


class ReadingView(Struct, kw_only=True):
    """How far a system's own list has been read: when the last reading that came to its end began, and the last whole.

    `failed` tells why a later one did not come to its end. `refused` counts the records not taken as they stand.
    """

    source: str
    began_at: datetime | None
    whole_at: datetime | None
    ended_at: datetime | None
    listed: int
    created: int
    changed: int
    closed: int
    refused: int
    failed: str | None


class ReadingList(Struct, kw_only=True):
    """One entry per system."""

    items: list[ReadingView]


class RefusedRecordView(Struct, kw_only=True):
    """What of a system's record (`record`, its own code) is not taken, and what to do."""

    source: str
    record: str
    attribute: str
    code: str
    detail: str
    since: datetime


class RefusedRecordPage(Struct, kw_only=True):
    """A page of what is not taken."""

    items: Annotated[list[RefusedRecordView], Meta(max_length=200)]
    next_cursor: str | None


def reading_list(found: Sequence[Known]) -> ReadingList:
    """How far each system has been read, on the wire."""
    return msgspec.convert({"items": msgspec.to_builtins(found)}, ReadingList)


def refused_page(found: Sequence[RefusedRecord], limit: int) -> RefusedRecordPage:
    """What is refused, on the wire; a full page leads to the next."""
    items = [
        RefusedRecordView(
            source=each.source,
            record=each.record,
            attribute=each.attribute,
            code=each.code,
            detail=each.detail,
            since=each.told_at,
        )
        for each in found
    ]
    last = found[-1] if len(found) == limit else None
    cursor = None if last is None else encode_cursor((last.source, last.record, last.attribute))
    return RefusedRecordPage(items=items, next_cursor=cursor)


def encode_cursor(place: tuple[str, str, str]) -> str:
    """A place in the list of what is refused, as a cursor."""
    return urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> tuple[str, str, str] | None:
    """The place that a cursor stands for; raises `Rejected` for one that is not ours."""
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return msgspec.json.decode(urlsafe_b64decode(padded.encode()), type=tuple[str, str, str])
    except ValueError as error:
        raise Rejected("this cursor is not one of ours: start without one", code="reference.bad_cursor") from error


def provenance_list(found: Sequence[Provenance]) -> ProvenanceList:
    """Provenance on the wire."""
    return msgspec.convert({"attributes": msgspec.to_builtins(found)}, ProvenanceList)


def matrix_view(matrix: Matrix) -> OwnershipMatrix:
    """The matrix on the wire."""
    return OwnershipMatrix(
        version=matrix.version,
        attributes=[
            OwnershipView(
                attribute=attribute,
                publishes=list(owners.publishes),
                enriches=list(owners.enriches),
                validates=list(owners.validates),
                consumes=list(owners.consumes),
            )
            for attribute, owners in matrix.attributes.items()
        ],
        changed_by=matrix.actor,
        changed_at=matrix.made_at,
        note=matrix.note,
    )


def ownership_of(data: OwnershipChange) -> dict[str, Ownership]:
    """Who owns which attribute from now on; raises `Rejected` for one that is given twice."""
    made = {
        each.attribute: Ownership(
            publishes=tuple(each.publishes),
            enriches=tuple(each.enriches),
            validates=tuple(each.validates),
            consumes=tuple(each.consumes),
        )
        for each in data.attributes
    }
    if len(made) < len(data.attributes):
        raise Rejected("an attribute is given twice: give each once", code="ownership.repeated")
    return made


def report_view(report: Report) -> ImportReport:
    """A report on the wire."""
    refused = [
        RefusedRowView(line=each.line, column=each.column, code=each.code, detail=each.detail)
        for each in report.refused
    ]
    return ImportReport(
        source=report.source,
        dry_run=report.dry_run,
        partial=report.partial,
        applied=report.applied,
        rows=report.rows,
        created=report.created,
        changed=report.changed,
        unchanged=report.unchanged,
        refusals=report.refusals,
        refused=refused,
    )
