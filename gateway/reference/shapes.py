"""Provenance, ownership and reports of imports on the wire: the same shapes for every kind of master data."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from gateway.kernel.errors import Rejected
from gateway.reference.importing import Report
from gateway.reference.ownership import Matrix
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
