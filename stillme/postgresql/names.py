"""The one place that takes a schema-qualified table name apart and puts it together.

Django knows no schemas. A model says `db_table = '"knowledge"."knowledge_items"'`, which passes
through Django's quoting untouched; Django itself derives names like `rss"."feed_tags` from it (its
many-to-many tables). Both mean the same, and `Table.parse` reads both.
"""

from __future__ import annotations

from dataclasses import dataclass

SEPARATOR = '"."'


@dataclass(frozen=True)
class Table:
    """A table (or view, sequence, index) and the schema it is in; None means the search path."""

    schema: str | None
    name: str

    @classmethod
    def parse(cls, name: str) -> Table:
        """Read a name in any of the forms Django passes around."""
        schema, separator, table = name.partition(SEPARATOR)
        if separator:
            return cls(_unescape(schema.removeprefix('"')), _unescape(table.removesuffix('"')))
        if len(name) > 1 and name.startswith('"') and name.endswith('"'):
            return cls(None, _unescape(name[1:-1]))
        return cls(None, name)

    @property
    def quoted(self) -> str:
        """As it is written in SQL."""
        if self.schema is None:
            return quote(self.name)
        return f"{quote(self.schema)}.{quote(self.name)}"

    @property
    def db_table(self) -> str:
        """As a model's `db_table` and the introspection write it."""
        return self.name if self.schema is None else self.quoted

    def beside(self, name: str) -> Table:
        """Another object in the same schema, for instance an index of this table."""
        return Table(self.schema, Table.parse(name).name)


def quote(identifier: str) -> str:
    """One identifier in quotes."""
    return '"{}"'.format(identifier.replace('"', '""'))


def _unescape(identifier: str) -> str:
    return identifier.replace('""', '"')
