"""The target tables of legacy files, as reverse capture and the freeze of PostgreSQL want them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stillme.transfer.mapped_column import spelled_key
from stillme.transfer.mapping import split_table
from stillme.transfer.plumbing.own_sql import capture_function
from stillme.transfer.registry import legacy_files, legacy_models


@dataclass(frozen=True, slots=True)
class TargetTable:
    """A target table, and SQL of its key as the ledger spells it: a UUID as its 32 digits."""

    schema: str
    table: str
    key: str

    @property
    def relation(self) -> str:
        """For SQL."""
        return f'"{self.schema}"."{self.table}"'

    @property
    def name(self) -> str:
        """``schema.table``, as the log and people have it."""
        return f"{self.schema}.{self.table}"

    @property
    def function(self) -> str:
        """The capture function's name, within schema transfer."""
        return capture_function(self.schema, self.table)


def target_tables(files: Sequence[str]) -> list[TargetTable]:
    """The target tables of some files."""
    found = []
    for name in files:
        for model in legacy_models(name):
            target = model.target_model()
            schema, table = split_table(target._meta.db_table)
            found.append(TargetTable(schema, table, spelled_key(target)))
    return found


def every_target_table() -> list[TargetTable]:
    """Also those of files that are absent: a feature may be switched on after the cut-over."""
    return target_tables([file.name for file in legacy_files()])
