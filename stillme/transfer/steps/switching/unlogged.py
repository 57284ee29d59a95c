"""Rows that differ since the cut-over although reverse capture logged no write to them.

A rollback carries the rows that are in the log. A write that is not in it would be lost: somebody
had the triggers disabled, or changed a table by DDL. Or the frozen file was written to, past its
triggers. So before a rollback freezes anything, every row is compared, as before a cut-over.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from stillme.transfer.errors import StateError
from stillme.transfer.keys import spelled_keys
from stillme.transfer.records.missing import missing_legacy
from stillme.transfer.registry import LegacyFile
from stillme.transfer.steps.merging.differing_keys import compare_table
from stillme.transfer.steps.switching.align import with_children
from stillme.transfer.steps.switching.written_keys import changed_keys
from stillme.transfer.steps.syncing.file_states import standing
from stillme.transfer.steps.syncing.live_file import LiveFile
from stillme.visible import counted

_SHOWN = 5


def refuse_unlogged(alias: str, files: Sequence[LegacyFile]) -> None:
    """Raise StateError where a row differs and is not in the log; PostgreSQL takes writes.

    Also where a table is gone from a frozen file: there is nothing to carry its rows into. Rows
    that others wrote before the cut-over, and that the operator left so, are not asked about.
    """
    names = {file.name for file in files}
    for gone in missing_legacy(alias):
        if gone.file in names:
            raise StateError(gone.sentence)
    for file in files:
        left = standing(alias, file.name).details.get("foreign") or ()
        with closing(LiveFile(file, None, alias=alias)) as live:
            tables = {t: s for t, s in live.tables.items() if t not in left}
            found = {t: compare_table(alias, source) for t, source in tables.items()}
            differing = {t: keys for t, keys in found.items() if keys}
            # Asked after the comparison: whoever changed a row before it has it in the log by now.
            known = _logged(alias, live) if differing else {}
            for table, keys in differing.items():
                if unlogged := _without(keys, known[table]):
                    raise StateError(_sentence(tables[table].job.mapping.target, unlogged))


def _without(keys: Sequence[str], known: set[str] | None) -> list[str]:
    return [] if known is None else [key for key in keys if key not in known]


def _logged(alias: str, live: LiveFile) -> dict[str, set[str] | None]:
    """Table -> keys that were written since the cut-over, with their children; None for all.

    A row whose parent was deleted in PostgreSQL, where no constraint forbids it, differs too.
    """
    keys, emptied = {}, set()
    for table, source in live.tables.items():
        mapping = source.job.mapping
        if not mapping.key_columns:
            continue
        keys[table], everything = changed_keys(alias, mapping)
        if everything or any(parent in emptied for _, parent in mapping.references()):
            emptied.add(table)
    every = with_children(alias, live, keys)
    return {t: None if t in emptied else set(spelled_keys(every.get(t, ()))) for t in live.tables}


def _sentence(table: str, keys: Sequence[str]) -> str:
    shown = ", ".join(keys[:_SHOWN]) + (", ..." if len(keys) > _SHOWN else "")
    are, them = ("is", "it") if len(keys) == 1 else ("are", "them")
    return (
        f"{counted(len(keys), 'row')} of {table} ({shown}) {are} not the same on both sides, and "
        f"reverse capture logged no write to {them}: somebody wrote to PostgreSQL with its "
        "triggers disabled, or to the frozen file. Look at both sides (manage.py verify_migration)"
        ", then make each such row in PostgreSQL what it should be, by an UPDATE, an INSERT or a "
        "DELETE (an UPDATE that changes nothing will do): that is logged. Then roll back again."
    )
