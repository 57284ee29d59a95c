"""Records of which a load writes millions: what the server does for each, and that none is lost."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor

from stillme.transfer.models import KeptCell, QuarantinedRow, Run

BEFORE = [("transfer", "0015_no_unread_columns")]
TABLES = ["kept_cell", "quarantined_row"]


def found() -> tuple[set[str], int]:
    """The indexes of both tables, and how many foreign keys they have."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname FROM pg_indexes WHERE schemaname = 'transfer' "
            "AND tablename = ANY(%s)",
            [TABLES],
        )
        indexes = {name for (name,) in cursor.fetchall()}
        cursor.execute(
            "SELECT count(*) FROM pg_constraint WHERE contype = 'f' "
            "AND conrelid::regclass::text = ANY(%s)",
            [[f"transfer.{table}" for table in TABLES]],
        )
        return indexes, cursor.fetchone()[0]


LEAN = {
    "kept_cell_pkey", "kept_cell_key", "kept_cell_once", "quarantined_row_pkey",
    "quarantined_row_key", "quarantined_row_decided", "quarantined_row_reason",
    "quarantined_row_status",
}  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_an_upgrade_keeps_the_records_and_takes_what_each_of_them_cost() -> None:
    executor = MigrationExecutor(connection)
    executor.migrate(BEFORE)
    try:
        before, keys = found()
        assert len(before) > len(LEAN)
        assert keys == 2
        run = Run.objects.create(command="import_sqlite")
        cell = {"file": "f", "table": "t", "key": "7", "column": "c", "storage": "text"}
        KeptCell.objects.create(run=run, reason="time_shape", **cell)
        QuarantinedRow.objects.create(run=run, key="8", cells={}, reason="blob", sentence="s")
    finally:
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())
    assert found() == (LEAN, 0)
    assert KeptCell.objects.get().run == run
    assert QuarantinedRow.objects.get().run == run
    with pytest.raises(IntegrityError), transaction.atomic():
        KeptCell.objects.create(run=run, reason="time_shape", **cell)
