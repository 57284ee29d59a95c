"""Rows in quarantine that are there only because of each other.

Album a is set aside because its cover, photo 1, is; photo 1 because its album, a, is. Each record
is right if one believes the other, and together they keep two good rows out. So of tables that
refer to themselves or in a circle a row that lacks its parent must lead to one that is set aside
for another reason, or to a parent that nobody has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace

from django.db.models import Q

from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.keys import Key
from stillme.transfer.mapped_column import referred_key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.registry import circle
from stillme.transfer.verify.rows.row_expectation import Oracle
from stillme.transfer.verify.tables.table_judge import TableCase, TableJudge

_NOTE = "the reason why the row was set aside"
# A table and a key, as a reference holds it.
_Row = tuple[str, int | str]


def groundless_records(alias: str, cases: Mapping[str, TableCase]) -> Iterator[tuple[str, Finding]]:
    """(table, finding) of each row of a file's tables that only such rows keep out."""
    groups = {
        circle(*case.mapping.identity).union([name] if case.mapping.refers_to_itself else ())
        for name, case in cases.items()
    }
    for names in groups - {frozenset()}:
        group = {name: cases[name] for name in names if name in cases}
        keys = {name: _lacking_a_parent(alias, case.mapping) for name, case in group.items()}
        held_by: dict[_Row, set[_Row]] = {}
        for name, case in group.items():
            held_by |= _held_by(alias, case, keys[name], group)
        grounded = {row for row, others in held_by.items() if not others <= held_by.keys()}
        while news := {r for r, others in held_by.items() if others & grounded} - grounded:
            grounded |= news
        for name, key in sorted(held_by.keys() - grounded, key=str):
            if not held_by[name, key]:
                # It can be loaded; the judge of rows says so.
                continue
            wanted, found = "a reason of its own", "missing_parent, for rows set aside for this one"
            target = cases[name].mapping.target
            kind = FindingKind.QUARANTINE_KEPT_ROW
            yield name, Finding(kind, target, Key.of(key).spelled(), wanted, found, _NOTE)


def _lacking_a_parent(alias: str, mapping: TableMapping) -> list[Key]:
    """The keys of its rows that are in quarantine for want of a parent."""
    if not mapping.key_columns.is_single:
        return []
    rows = mapping.identity.of(QuarantinedRow.objects.using(alias))
    open_ones = rows.filter(~Q(status=QuarantinedRow.Status.REPAIRED), reason="missing_parent")
    return mapping.key_columns.parsed(open_ones.values_list("key", flat=True))


def _held_by(
    alias: str, case: TableCase, keys: list[Key], group: Mapping[str, TableCase]
) -> dict[_Row, set[_Row]]:
    """Row -> rows in quarantine that it refers to, of the group.

    `("", 0)` among them marks a row that must be set aside even if all rows of the group are
    there.
    """
    mapping = case.mapping
    found: dict[_Row, set[_Row]] = {}
    excluded = {name: () if name in group else out for name, out in case.excluded.items()}
    aside = {name: set(out) for name, out in case.excluded.items() if name in group}
    oracle = Oracle(mapping, case.clock, case.units)
    with closing(TableJudge(alias, replace(case, excluded=excluded))) as judge:
        for row in judge.stored(keys):
            key = mapping.key_columns.in_target(mapping.key_columns.of_cells(row.cells))
            if key is None or row.is_repeat:
                continue
            up = found.setdefault((mapping.declared_table, key.values[0]), set())
            if oracle.fate(row).reason:
                up.add(("", 0))
            for column, parent in mapping.references():
                storage, raw = row.cells[column.legacy]
                value = referred_key(column, storage, raw)  # type: ignore[arg-type]
                if value is not None and value in aside.get(parent, ()):
                    up.add((parent, value))
    return found
