"""Identifiers in SQL. SQLite and PostgreSQL quote them the same way, as the standard says.

https://www.sqlite.org/lang_keywords.html
https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS
"""

from __future__ import annotations


def quoted(name: str) -> str:
    """The name in double quotes, those in it doubled: ``a "b`` becomes ``"a ""b"``."""
    return '"' + name.replace('"', '""') + '"'
