"""SQL fragments that Django writes, for schema-qualified tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db.backends.postgresql import operations
from django.db.models import AutoField, Model

from stillme.postgresql.distributed import is_distributed
from stillme.postgresql.names import Table

_RESET = """DO $reset$ DECLARE last bigint; BEGIN
SELECT max({column}) INTO last FROM {table};
PERFORM setval(pg_get_serial_sequence('{table}', '{name}'), coalesce(last, 1), last IS NOT NULL);
END $reset$;"""


class DatabaseOperations(operations.DatabaseOperations):
    """Django's, with the few fragments in which a qualified name is no name."""

    def for_update_sql(
        self,
        nowait: bool = False,
        skip_locked: bool = False,
        of: Iterable[str] = (),
        no_key: bool = False,
    ) -> str:
        """FOR UPDATE OF takes names as the FROM list gives them, which is without a schema."""
        bare = tuple(Table(None, Table.parse(name).name).quoted for name in of)
        return super().for_update_sql(nowait, skip_locked, bare, no_key)

    def sequence_reset_sql(self, style: Any, model_list: Sequence[type[Model]]) -> list[str]:
        """Two statements for a table of another node of a cluster.

        Django's single one goes to the node that has the rows, whose sequence of that name is
        another one; new keys come from this node's.
        """
        found = []
        for model in model_list:
            if not is_distributed(self.connection, Table.parse(model._meta.db_table).quoted):
                found += super().sequence_reset_sql(style, [model])
                continue
            for field in model._meta.local_fields:
                if isinstance(field, AutoField) and field.column:
                    names = {"table": self.quote_name(model._meta.db_table), "name": field.column}
                    found.append(_RESET.format(column=self.quote_name(field.column), **names))
        return found
