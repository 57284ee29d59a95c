"""Target columns that the legacy file has nothing for: an imported row holds the declared default.

Whether it does is PostgreSQL's to say; the default goes to it as text, in escapes that pass
through a query with or without parameters.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from stillme.transfer.mapping import Unfilled
from stillme.transfer.quoting import quoted as _q


def all_untouched(columns: Sequence[Unfilled]) -> str:
    """SQL that is true where each of the columns holds its default, else false or NULL."""
    return " AND ".join(_is_untouched(column) for column in columns) or "TRUE"


def told(column: Unfilled) -> str:
    """SQL: the declared default as it is spelled, or what the column holds instead, as text."""
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
