"""Names of columns in SQL, one or several, for both sides, and many expressions as one.

SQLite and PostgreSQL quote them the same way, as the standard says.

https://www.sqlite.org/lang_keywords.html
https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS
"""

from __future__ import annotations

from collections.abc import Callable, Sequence


def quoted(name: str) -> str:
    """The name in double quotes, those in it doubled: ``a "b`` becomes ``"a ""b"``."""
    return '"' + name.replace('"', '""') + '"'


def each(names: Sequence[str], table: str) -> list[str]:
    """The columns, quoted, of that table or alias ("" for none)."""
    before = f"{table}." if table else ""
    return [before + quoted(name) for name in names]


def stored_value(name: str) -> str:
    """A column's value; text as its bytes, which Python might refuse as text."""
    return f"CASE typeof({name}) WHEN 'text' THEN CAST({name} AS BLOB) ELSE {name} END"


def stored_part(name: str) -> str:
    """A column's storage class and value."""
    return f"typeof({name}), {stored_value(name)}"


def logged_part(name: str) -> str:
    """SQLite: both as one text without a space: ``integer:7``, ``text:6131``."""
    exact = f"WHEN 'integer' THEN {name} WHEN 'real' THEN printf('%!.20g', {name})"
    return f"typeof({name}) || ':' || CASE typeof({name}) {exact} ELSE hex({name}) END"


def row(names: Sequence[str]) -> str:
    """A row value of several, one as it is."""
    return names[0] if len(names) == 1 else f"({', '.join(names)})"


def equal(ones: Sequence[str], others: Sequence[str]) -> str:
    """Whether each of the ones equals its other one."""
    return " AND ".join(f"{one} = {other}" for one, other in zip(ones, others, strict=True))


# SQLite takes an expression of 1,000 levels, of which ``a AND b AND c`` has one a part, and a
# function of as many arguments.
ABREAST = 200


def chained(parts: Sequence[str], operator: str) -> str:
    """SQL: ``a AND b AND c``, in groups where they are many: a table may have 1,000 columns."""
    return _grouped(parts, lambda few: f" {operator} ".join(few), "({})")


def concatenated(parts: Sequence[str]) -> str:
    """SQL: ``concat(a, b, c)``, in groups where they are many."""
    return f"concat({_grouped(parts, ', '.join, 'concat({})')})"


def _grouped(parts: Sequence[str], join: Callable[[Sequence[str]], str], group: str) -> str:
    while len(parts) > ABREAST:
        starts = range(0, len(parts), ABREAST)
        parts = [group.format(join(parts[n : n + ABREAST])) for n in starts]
    return join(parts)


def digits_of(name: str) -> str:
    """PostgreSQL: a UUID as the 32 digits that Django stores in SQLite."""
    return f"replace({name}::text, '-', '')"
