"""Which legacy table: its file and its name. Two files may have a table of the same name."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from django.db import models

M = TypeVar("M", bound=models.Model)

# SQL for the records of one table; its two parameters are a TableId.
OF_TABLE = 'file = %s AND "table" = %s'


class TableId(NamedTuple):
    """The short name of a legacy file (``rss``) and the declared name of a table in it."""

    file: str
    table: str

    def __str__(self) -> str:
        return f"{self.file}.{self.table}"

    def of(self, records: models.QuerySet[M]) -> models.QuerySet[M]:
        """Those of the ledger's records that are about this table."""
        return records.filter(file=self.file, table=self.table)
