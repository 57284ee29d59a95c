"""SQL fragments that Django writes, for schema-qualified tables."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.backends.postgresql import operations

from stillme.postgresql.names import Table


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
