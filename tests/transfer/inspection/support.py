"""What the tests of inspect_sqlite share. No database server is needed here."""

from __future__ import annotations

from stillme.transfer.sqlite.schema.profile import ColumnProfile
from stillme.transfer.steps.inspect_result import FileInspection, Inspection, TableInspection


def table(inspection: Inspection, name: str) -> TableInspection:
    return next(t for t in inspection.tables if t.table == name)


def column(inspection: Inspection, name: str, column_name: str) -> ColumnProfile:
    columns = table(inspection, name).prediction.columns
    return next(c for c in columns if c.name == column_name)


def file(inspection: Inspection, name: str) -> FileInspection:
    return next(f for f in inspection.files if f.file == name)


def drifts(inspection: Inspection, name: str) -> set[tuple[str, str, str]]:
    """(what, table, name) of every drift of a file."""
    return {(d.what, d.table, d.name) for d in file(inspection, name).drift}
