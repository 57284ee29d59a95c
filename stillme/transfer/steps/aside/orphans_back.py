"""Rows in quarantine that may come back: an orphan whose parent has arrived, or a row whose unique
value was another row's that was pruned since."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

from stillme.transfer.identity import OF_TABLE
from stillme.transfer.mapped_column import referred_key
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.plumbing.stored_cells import unpack_json
from stillme.transfer.postgresql.capture import engine_transaction
from stillme.transfer.postgresql.copy import fetch_all
from stillme.transfer.records import ledger
from stillme.transfer.steps.loading.plan import Plan, PlannedTable
from stillme.transfer.steps.merging.apply_rows import apply_keys
from stillme.transfer.steps.merging.clashes import has_unique_index
from stillme.transfer.steps.merging.orphans import present_parents
from stillme.transfer.steps.rows.table_source import TableSource

_AT_ONCE = 1000


def retry_orphans(alias: str, plan: Plan) -> int:
    """Load set-aside rows whose parent is there now, or whose value is free. How many came back."""
    returned = 0
    for planned in plan.tables:
        came = _retry_table(alias, planned)
        returned += came
        # Of a table that refers to itself, parents of others may have come back.
        while came and planned.job.mapping.refers_to_itself:
            came = _retry_table(alias, planned)
            returned += came
    return returned


def _retry_table(alias: str, planned: PlannedTable) -> int:
    retried = [*_orphans(alias, planned), *_open_clashes(alias, planned)]
    keys = planned.job.mapping.key_columns.parsed(retried)
    if not keys:
        return 0
    # Every parent is asked for in the target, where some may have arrived.
    job = replace(planned.job, set_aside={}, later=frozenset())
    returned = 0
    with closing(TableSource(job)) as source:
        for start in range(0, len(keys), _AT_ONCE):
            with engine_transaction(alias):
                outcome = apply_keys(alias, source, keys[start : start + _AT_ONCE])
                returned += outcome.inserted
                ledger.mark_write(alias, job.run_id)
    return returned


def _open_clashes(alias: str, planned: PlannedTable) -> list[str]:
    """Keys of open rows that PostgreSQL refused, perhaps because another row had what is unique.

    Why it did the record has in the server's words only, which are of the server's language. Where
    nothing else than the key is unique there are none.
    """
    rows = planned.identity.of(QuarantinedRow.objects.using(alias))
    rows = rows.filter(reason="refused_by_target", status=QuarantinedRow.Status.OPEN)
    keys = sorted({key for key in rows.values_list("key", flat=True) if key is not None})
    return keys if keys and has_unique_index(alias, planned.job.mapping) else []


def _orphans(alias: str, planned: PlannedTable) -> list[str]:
    """Keys of orphans whose record names a parent that the target has now.

    Accepted ones too: what was accepted is that they stay out for want of that parent.
    """
    mapping = planned.job.mapping
    found: list[str] = []
    for column, table in mapping.references():
        parent = planned.job.parents[table]
        if parent is None or parent.named_by(column) is None:
            continue
        # Orphans and parents are asked apart: they may be on different nodes.
        orphans = fetch_all(
            alias,
            f"SELECT key, cells -> %s FROM {QuarantinedRow._meta.db_table} "
            f"WHERE {OF_TABLE} AND reason = 'missing_parent' AND status <> 'repaired' "
            'AND "column" = %s',
            [column.legacy, *mapping.identity, column.legacy],
        )
        wanted = {key: referred_key(column, *unpack_json(cell)) for key, cell in orphans if key}
        values = [value for value in set(wanted.values()) if value is not None]
        present = present_parents(alias, parent, column, values)
        found += [key for key, value in wanted.items() if value in present]
    return sorted(set(found))
