"""Whether a staged row `s` and the target row `t` of its key hold the same, as SQL.

The one comparison that the merge, the sweep, the cut-over and the way back use. It shares the
loader's conversions, so it is no proof: that is the judge's (`verify_migration`).
"""

from __future__ import annotations

from stillme.transfer.mapping import TableMapping
from stillme.transfer.postgresql.copy import quoted
from stillme.transfer.steps.kinds import loader_of


def merged_columns(mapping: TableMapping) -> list[str]:
    """The target columns that a merge brings to the staged values.

    `legacy_extra` in any case: the file may have lost the columns that were in it.
    """
    return [*dict.fromkeys([*mapping.target_columns, *mapping.extra_columns])]


def rows_differ(mapping: TableMapping) -> str:
    """A condition on `s` and `t`: some column that the import writes is not the same."""
    tests = [cells_differ(mapping, name) for name in merged_columns(mapping)]
    return f"({' OR '.join(tests)})"


def cells_differ(mapping: TableMapping, name: str) -> str:
    """The same of one target column."""
    known = {column.target: loader_of(column.kind).compared for column in mapping.columns}
    # A column of a rule has no kind; its text is exact for every type.
    form = known.get(name, "{}::text")
    staged, present = (form.format(f"{side}.{quoted(name)}") for side in ("s", "t"))
    return f"{staged} IS DISTINCT FROM {present}"
