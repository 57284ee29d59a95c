"""Whether a staged row `s` and the target row `t` of its key hold the same, as SQL.

The one comparison that the merge, the sweep, the cut-over and the way back use. It shares the
loader's conversions, so it is no proof: that is the judge's (`verify_migration`).
"""

from __future__ import annotations

from stillme.transfer import kinds
from stillme.transfer.mapping import TableMapping
from stillme.transfer.postgresql.copy import quoted

# Where PostgreSQL's own equality is equality of what is stored. Not of jsonb, to which 1 is 1.0,
# nor of reals, to which 0.0 is -0.0.
_PLAIN = (
    kinds.Key,
    kinds.TextKey,
    kinds.Reference,
    kinds.Text,
    kinds.Integer,
    kinds.Timestamp,
    kinds.Date,
)


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
    kind = next((column.kind for column in mapping.columns if column.target == name), None)
    form = _form(kind)
    staged, present = (form.format(f"{side}.{quoted(name)}") for side in ("s", "t"))
    return f"{staged} IS DISTINCT FROM {present}"


def _form(kind: kinds.Kind | None) -> str:
    if isinstance(kind, kinds.Real):
        return "float8send({})"
    # A column of a rule has no kind; its text is exact for every type.
    return "{}" if isinstance(kind, _PLAIN) else "{}::text"
