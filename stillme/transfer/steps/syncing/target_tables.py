"""The target tables of legacy files, as reverse capture and the freeze of PostgreSQL want them."""

from __future__ import annotations

from collections.abc import Sequence

from stillme.transfer.mapping import is_uuid, split_table
from stillme.transfer.postgresql.capture import TargetTable
from stillme.transfer.registry import legacy_files, legacy_models


def target_tables(files: Sequence[str]) -> list[TargetTable]:
    """The target tables of some files, with their key columns."""
    found = []
    for name in files:
        for model in legacy_models(name):
            target = model.target_model()
            schema, table = split_table(target._meta.db_table)
            pk = target._meta.pk
            assert pk is not None
            found.append(TargetTable(schema, table, str(pk.column), is_uuid(pk)))
    return found


def every_target_table() -> list[TargetTable]:
    """Also those of files that are absent: a feature may be switched on after the cut-over."""
    return target_tables([file.name for file in legacy_files()])
