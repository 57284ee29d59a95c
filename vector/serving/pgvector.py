"""pgvector in this database: its version, and its names as SQL that no search_path changes.

Hosted servers install it in a schema of its own that is not on the search_path. Every type,
operator, function and operator class of it is therefore spelled with its schema.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connections

from stillme.postgresql.names import quote
from stillme.postgresql.statements import fetch_all

# USAGE on the schema and on the type: without either no name of it can be spelled.
_FOUND = """
    SELECT e.extversion, n.nspname,
           has_schema_privilege(n.oid, 'USAGE')
           AND (t.oid IS NULL OR has_type_privilege(t.oid, 'USAGE'))
      FROM pg_extension e
      JOIN pg_namespace n ON n.oid = e.extnamespace
      LEFT JOIN pg_type t ON t.typnamespace = n.oid AND t.typname = 'vector'
     WHERE e.extname = 'vector'
"""


@dataclass(frozen=True, slots=True)
class Pgvector:
    """An installed pgvector. `schema` is an identifier, not quoted yet."""

    version: tuple[int, ...]
    schema: str
    usable: bool = True

    def named(self, name: str) -> str:
        """A function, a type or an operator class."""
        return f"{self._prefix}.{name}"

    def vector(self, dimension: int | None) -> str:
        """The type of vectors of so many dimensions."""
        return self.named(f"vector({int(dimension)})" if dimension else "vector")

    def operator(self, name: str) -> str:
        """An operator, as it stands between its operands."""
        return f"OPERATOR({self._prefix}.{name})"

    @property
    def _prefix(self) -> str:
        if "%" not in self.schema:
            return quote(self.schema)
        # psycopg and Django's templates would take a percent sign for a place of a parameter.
        return "U&" + quote(self.schema.replace("\\", "\\\\").replace("%", "\\0025"))


def installed(alias: str = "default") -> Pgvector | None:
    """Where pgvector is and which; None without. Cheap: asked before each search."""
    for version, schema, usable in fetch_all(connections[alias], _FOUND):
        parts = tuple(int(part) for part in version.split(".") if part.isdigit())
        return Pgvector(parts, schema, usable)
    return None


def usable(alias: str = "default") -> Pgvector | None:
    """The same; None as well where the role may not use the schema that pgvector is in."""
    found = installed(alias)
    return found if found is not None and found.usable else None
