"""Rows that were written without capture, which a cut-over must not miss.

No log tells of a writer with its triggers off, of a table that was rebuilt with the triggers put
back, or of a file that was put back from a copy. So before the freeze a sweep compares every row of
a snapshot with the target. Then SQLite compares the file with that snapshot, without PostgreSQL:
once before the freeze, when a newer snapshot replaces the first one, and once inside it. A row that
differs goes to the judge, whether its change was captured or not. So every row is either as the
sweep found it, equal on both sides, or judged.

If nobody has committed to the file since the snapshot, there is nothing to compare.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from stillme.transfer.errors import TransferError
from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.plumbing.scratch import scratch_folder
from stillme.transfer.sqlite.capture.log import last_sequence
from stillme.transfer.sqlite.copying.snapshot import Snapshot, take_snapshot
from stillme.transfer.sqlite.reading.connect import explain, open_legacy, quoted, reading, uri
from stillme.transfer.sqlite.schema.found import row_count
from stillme.transfer.steps.following.follower import Follower
from stillme.transfer.steps.switching.tail import Tail, refuse
from stillme.transfer.steps.syncing.live_file import LiveFile


class Unseen:
    """Compares frozen files with the snapshots that were swept before."""

    def __init__(self) -> None:
        self._folders = ExitStack()
        self._watches: dict[str, _Watch] = {}
        self._snapshots: dict[str, Snapshot] = {}

    def sweep(self, follower: Follower) -> None:
        """Sweep every file, before the freeze. Raises TransferError where a row differs."""
        for live in follower.live.values():
            self._watches[live.file.name] = _Watch(live.file.path)
        for swept in follower.sweep(self._new_folder()):
            self._snapshots[swept.file] = swept.snapshot
            refuse(
                [
                    f"{table} row {key} is not the same on both sides (the sweep found it; no "
                    "captured write tells why)"
                    for table, keys in swept.bypassed.items()
                    for key in keys
                ]
            )

    def renew(self, follower: Follower, tail: Tail) -> None:
        """Compare each file once more while writers go on, so that little is left for the freeze.

        What is not as it was swept goes to the tail. From now on the new snapshot counts: a row of
        it is as it was swept, or is going to be judged before the freeze.
        """
        folder = self._new_folder()
        for name, live in follower.live.items():
            if not self._watches[name].has_moved():
                continue
            self._watches[name].rest()
            newer = take_snapshot(name, live.file.path, folder)
            with closing(newer.open()) as connection:
                self._compare(live, connection, tail)
            self._snapshots[name] = newer

    def at_lock(self, file: str) -> None:
        """The freeze holds the file's write lock and has written nothing yet."""
        watch = self._watches[file]
        watch.quiet = not watch.has_moved()

    def frozen(self, file: str) -> None:
        """The freeze is committed: nothing is to be written from now on."""
        self._watches[file].rest()

    def at_last_lock(self, file: str) -> None:
        """Raise TransferError where somebody wrote all the same: a writer without triggers."""
        if self._watches[file].has_moved():
            raise TransferError(
                f"{file} was written to while it was frozen, by a writer without triggers: stop "
                "it, then cut over again."
            )

    def touch(
        self, live: LiveFile, tail: Tail, watch: Callable[[sqlite3.Connection], None]
    ) -> None:
        """Hand every row to the tail that is not as it was swept. Raises TransferError.

        `watch` is told the connection that compares, to break it off where the freeze takes too
        long.
        """
        name = live.file.name
        live.check_place()
        if self._watches[name].quiet:
            return
        with closing(open_legacy(live.file.path, in_place=True)) as connection:
            watch(connection)
            last = self._compare(live, connection, tail)
            # A row that was captured, and then set back without capture, looks untouched.
            tail.note_log(live, last)

    def _compare(self, live: LiveFile, connection: sqlite3.Connection, tail: Tail) -> int:
        """Touch the rows that differ from the snapshot; the number of its last change."""
        swept = uri(self._snapshots[live.file.name].path) + "&immutable=1"
        connection.execute("ATTACH ? AS swept", [swept])
        with reading(connection):
            for table, mapping in live.mappings.items():
                tail.touch(live.file.name, table, list(_differing(live, connection, mapping)))
            return last_sequence(connection, "swept")

    def _new_folder(self) -> Path:
        return self._folders.enter_context(scratch_folder("cutover"))

    def close(self) -> None:
        """Close the files and delete the snapshots."""
        for watch in self._watches.values():
            watch.close()
        self._folders.close()


class _Watch:
    """Whether anybody commits to a file: `PRAGMA data_version` of a connection that stays open.

    The file's size and time are looked at too, for what writes over it without SQLite.
    https://www.sqlite.org/pragma.html#pragma_data_version
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = open_legacy(path, in_place=True)
        self.quiet = False
        self.rest()

    def rest(self) -> None:
        """Remember the file as it is."""
        self._known = self._now()

    def has_moved(self) -> bool:
        """Whether the file is not as it was remembered."""
        return self._now() != self._known

    def _now(self) -> tuple[int, ...]:
        version = int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        found = self._path.stat()
        return version, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _differing(
    live: LiveFile, connection: sqlite3.Connection, mapping: TableMapping
) -> Iterator[Key]:
    """The keys of rows that are not the same in the file and in the snapshot, of either side."""
    if not mapping.key_columns:
        return
    try:
        added = 0
        for is_new, *keys in connection.execute(_changed_rows(live, mapping)):
            added += is_new
            middle = len(keys) // 2
            yield Key.of_flat(keys[:middle])
            if not is_new:
                yield Key.of_flat(keys[middle:])
        gone = row_count(connection, mapping.table, "swept") + added
        if gone != row_count(connection, mapping.table):
            yield from map(Key.of_flat, connection.execute(_gone_rows(mapping)))
    except sqlite3.OperationalError as error:
        if "no such" not in str(error):
            raise explain(live.file.path, error) from error
        raise TransferError(
            f"{live.file.path} got other tables or columns since it was swept, moments ago: cut "
            "over again."
        ) from error


def _changed_rows(live: LiveFile, mapping: TableMapping) -> str:
    """(whether the snapshot lacks it, key now, key then) of every row that is not the same."""
    table, keys = quoted(mapping.table), mapping.key_columns
    names = [c.legacy for c in mapping.columns] + list(mapping.extra)
    # In SQL 1 is 1.0; only a column without affinity can have held both.
    # https://www.sqlite.org/datatype3.html#determination_of_column_affinity
    types = {c.name: c.type.upper() for c in live.schema.tables[mapping.table].columns}
    bare = [quoted(n) for n in names if types.get(n, "") == "" or "BLOB" in types[n]]
    tests = [f"now.{quoted(n)} IS NOT was.{quoted(n)} COLLATE BINARY" for n in names]
    tests += [f"typeof(now.{name}) <> typeof(was.{name})" for name in bare]
    return (
        f"SELECT {_lacks_row(mapping)}, {keys.legacy_parts('now')}, {keys.legacy_parts('was')} "
        f"FROM main.{table} AS now LEFT JOIN swept.{table} AS was ON {_same_row(mapping)} "
        f"WHERE {_lacks_row(mapping)} OR {' OR '.join(tests)}"
    )


def _gone_rows(mapping: TableMapping) -> str:
    """The keys of the rows that only the snapshot has."""
    table, parts = quoted(mapping.table), mapping.key_columns.legacy_parts("was")
    return (
        f"SELECT {parts} FROM swept.{table} AS was WHERE NOT EXISTS "
        f"(SELECT 1 FROM main.{table} AS now WHERE {_same_row(mapping)})"
    )


def _same_row(mapping: TableMapping) -> str:
    # The snapshot is a copy page by page, so a row has the same number in it.
    by_key = mapping.key_columns.legacy_same("now", "was")
    return "now.rowid = was.rowid" if mapping.has_rowid else by_key


def _lacks_row(mapping: TableMapping) -> str:
    """Whether the snapshot has no such row."""
    return "was.rowid IS NULL" if mapping.has_rowid else mapping.key_columns.legacy_null("was")
