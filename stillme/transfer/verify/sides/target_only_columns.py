"""Target columns for which the legacy file has nothing: an imported row holds their default.

PostgreSQL itself is asked whether the column holds it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from stillme.transfer.mapping import Unfilled
from stillme.transfer.plumbing.quoting import quoted as _q


def all_untouched(columns: Sequence[Unfilled]) -> str:
    """SQL: true if each of the columns holds its default, else false or NULL."""
    return " AND ".join(_is_untouched(column) for column in columns) or "TRUE"


def told(column: Unfilled) -> str:
    """SQL: the declared default as the mapping spells it, or what the column holds instead."""
    name = _q(column.target)
    if column.default is None:
        return f"{name}::text"
    return (
        f"CASE WHEN {_is_untouched(column)} THEN {_literal(column.default)} ELSE {name}::text END"
    )


def _is_untouched(column: Unfilled) -> str:
    name = _q(column.target)
    if column.default is None:
        return f"{name} IS NULL"
    if column.is_double:
        bits = struct.pack(">d", float(column.default)).hex()
        return f"float8send({name}) = decode('{bits}', 'hex')"
    return f"{name} = {_literal(column.default)}"


def _literal(text: str) -> str:
    # E'' means the same whatever standard_conforming_strings says.
    escaped = text.replace("\\", "\\\\").replace("%", "\\x25").replace("'", "''")
    return f"E'{escaped}'"
