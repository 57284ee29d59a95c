"""When the decision about a file's local clock changes, its local times mean something else."""

from __future__ import annotations

from django.db import transaction

from stillme.transfer import ledger
from stillme.transfer.kinds import Kind, Stamp, Timestamp
from stillme.transfer.models import Run, RunFile
from stillme.transfer.postgresql.capture import as_replay
from stillme.transfer.sqlite.clock import row_offset_sql
from stillme.transfer.sqlite.raw import RawRow
from stillme.transfer.steps.syncing.live_file import LiveFile, reading, row_keys
from stillme.transfer.steps.syncing.replay import Replayed, apply_rows


def clock_signature(live: LiveFile) -> dict[str, object]:
    """What the meaning of the file's local times hangs on."""
    clock = live.clock.as_dict()
    offsets = sorted(int(minutes) for minutes in clock["evidence"])
    return {"zone": clock["zone"], "usual": clock["usual_minutes"], "offsets": offsets}


def loaded_clock(alias: str, file: str) -> dict[str, object] | None:
    """The signature that the last import of the file was made under."""
    row = (
        RunFile.objects.using(alias)
        .filter(file=file, run__command="import_sqlite", run__status=Run.Status.COMPLETED)
        .order_by("-run_id")
        .first()
    )
    if row is None or "evidence" not in row.clock:
        return None
    offsets = sorted(int(minutes) for minutes in row.clock["evidence"])
    return {"zone": row.clock["zone"], "usual": row.clock["usual_minutes"], "offsets": offsets}


def reread_times(alias: str, live: LiveFile, usual_before: int) -> None:
    """Apply the rows again whose local times another clock decision may read in another way.

    A row with evidence of its own is sure, as long as the usual offset (which decides what is
    kept beside it) is the same.
    """
    result = Replayed()
    rows: dict[str, list[RawRow]] = {}
    with reading(live.connection):
        for table, source in live.tables.items():
            mapping = source.job.mapping
            if not any(_is_local(column.kind) for column in mapping.columns):
                continue
            sure = mapping.clock is not None and live.clock.usual == usual_before
            unsure = f"{row_offset_sql(mapping.clock)} IS NULL" if sure and mapping.clock else "1"
            rows[table] = list(source.raw.where(unsure))
    with transaction.atomic(using=alias, durable=True):
        as_replay(alias)
        keys = {table: row_keys(live, table, found) for table, found in rows.items()}
        apply_rows(alias, live, keys, rows, result)
        ledger.mark_write(alias, live.run_id)


def _is_local(kind: Kind) -> bool:
    return isinstance(kind, Timestamp) and kind.stamp is not Stamp.SQL
