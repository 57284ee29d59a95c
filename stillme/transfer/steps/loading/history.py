"""Whose rows a file holds: its first keys with the times they were made, and its next ids.

A file of another installation has other rows under the same keys. An import would overwrite the
loaded rows with them, and `--prune` would delete the rest. A file that was put back from an older
backup has next ids that are smaller than before.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from typing import Any

from stillme.transfer.errors import LedgerMismatch
from stillme.transfer.mapping import TableMapping, map_table
from stillme.transfer.models import Chunk, FileState, RunFile
from stillme.transfer.registry import legacy_models
from stillme.transfer.sqlite.capture import ChangeLog
from stillme.transfer.sqlite.copying.snapshot import Snapshot
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.sqlite.schema.found import sequence_mark

History = dict[str, dict[str, Any]]

# So many first keys of each table are noted; so few in common tell nothing.
_FIRST, _FEWEST = 50, 3


def read_history(snapshot: Snapshot) -> History:
    """By declared table: ``{"first": {key: time}, "mark": next id}``, stored bytes as hex."""
    found: History = {}
    with closing(snapshot.open()) as connection:
        for model in legacy_models(snapshot.file):
            mapping = map_table(model, snapshot.schema)
            if mapping is None or not mapping.key_columns:
                continue
            first = {}
            if (made := _made_at(mapping)) is not None:
                # The first column tells enough of a key of several.
                key, time = quoted(mapping.key_columns.names[0]), quoted(made)
                rows = connection.execute(
                    f"SELECT hex(CAST({key} AS BLOB)), hex(CAST({time} AS BLOB)) "
                    f"FROM {quoted(mapping.table)} WHERE {time} IS NOT NULL "
                    f"ORDER BY {key} LIMIT {_FIRST}"
                )
                first = dict(rows.fetchall())
            mark = sequence_mark(connection, mapping.table)
            found[mapping.declared_table] = {"first": first, "mark": mark}
    return found


def history_to_note(alias: str, snapshot: Snapshot, *, replaced: bool) -> History:
    """What the next import compares with: no next id is smaller than it ever was.

    So an older backup that was imported without `prune` is recognised as one at the next import. A
    file that `replaced` another starts a new history.
    """
    now = read_history(snapshot)
    last = None if replaced else _last(alias, snapshot.file)
    for table, then in ({} if last is None else last.history).items():
        if table in now:
            now[table]["mark"] = max(now[table]["mark"], then["mark"])
    return now


def _last(alias: str, file: str) -> RunFile | None:
    """The newest import of a file that noted its history."""
    seen = RunFile.objects.using(alias).filter(file=file).exclude(history={})
    return seen.order_by("-run_id").first()


def _made_at(mapping: TableMapping) -> str | None:
    """The column that tells when a row was made: one that says so, else the first time."""
    times = [c.legacy for c in mapping.columns if c.kind.depends_on_clock]
    return next((name for name in times if name.lower().startswith("created")), None) or (
        times[0] if times else None
    )


def refuse_other_history(alias: str, snapshots: Iterable[Snapshot], *, prune: bool) -> None:
    """Raise LedgerMismatch for a file with another history than the one that was loaded.

    Where next ids went back, only with `prune`: without it nothing is lost.
    """
    for snapshot in snapshots:
        if not Chunk.objects.using(alias).filter(file=snapshot.file).exists():
            continue
        last = _last(alias, snapshot.file)
        if last is None:
            continue
        why = _other_capture(alias, snapshot) or _difference(
            last.history, read_history(snapshot), prune=prune
        )
        if why:
            raise LedgerMismatch(
                f"{snapshot.source} is not the file that was loaded before ({why}): an import "
                "would overwrite or delete rows of that one. Put the right file back; if this one "
                "is to take its place, run manage.py import_sqlite --prune --replaced."
            )


def _other_capture(alias: str, snapshot: Snapshot) -> str:
    """What tells that the changes of another file were captured, or "".

    Installing capture again (`sync_sqlite --install`) begins a new history.
    """
    state = FileState.objects.using(alias).filter(pk=snapshot.file).first()
    if state is None or not (identity := state.details.get("capture_id")):
        return ""
    with closing(snapshot.open()) as connection:
        log = ChangeLog(connection)
        try:
            found, seen = log.capture_id(), log.witness(state.position)
        except sqlite3.OperationalError:
            # It has no change table: sync_sqlite says what that means.
            return ""
    if found and found != identity:
        return "its changes were captured for another target"
    noted = state.details.get("witness")
    if state.position and noted and seen != noted:
        return f"change {state.position} in its log is not the one that was replayed"
    return ""


def _difference(before: History, now: History, *, prune: bool) -> str:
    """What tells that the two are not one file at two moments, or ""."""
    back = []
    for table, then in before.items():
        here = now.get(table)
        if here is None:
            continue
        keys = then["first"].keys() & here["first"].keys()
        other = sum(then["first"][key] != here["first"][key] for key in keys)
        if len(keys) >= _FEWEST and other * 2 > len(keys):
            return f"{other} of {len(keys)} first keys of {table} are of rows made at other times"
        if here["mark"] < then["mark"]:
            back.append(f"{table} from {then['mark']:,} to {here['mark']:,}")
    if prune and back:
        return f"its next id went back: {', '.join(back)}"
    return ""
