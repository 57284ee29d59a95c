"""A legacy file that is still written to: its mappings, its clock, its change log.

Each read is one short transaction: in a file with a rollback journal a reader keeps writers from
committing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from stillme.transfer.errors import StateError
from stillme.transfer.keys import Key
from stillme.transfer.mapping import TableMapping
from stillme.transfer.records.proofs import identity
from stillme.transfer.records.table_job import TableJob
from stillme.transfer.registry import LegacyFile, legacy_models
from stillme.transfer.sqlite.capture import CapturedTable, CaptureStatus, ChangeLog, status
from stillme.transfer.sqlite.capture.log import Witness, collapse
from stillme.transfer.sqlite.capture.tables import captured_tables
from stillme.transfer.sqlite.clock.epochs import end_keys, read_number_ranges, units_of
from stillme.transfer.sqlite.copying.snapshot import Snapshot
from stillme.transfer.sqlite.reading.connect import explained, open_legacy, reading
from stillme.transfer.sqlite.reading.scan_parts import scan_on
from stillme.transfer.sqlite.reading.stored_rows import RawRow
from stillme.transfer.sqlite.schema.found import FoundSchema, read_schema
from stillme.transfer.steps.loading.plan import file_mappings
from stillme.transfer.steps.rows.read_keys import MANY, ManyRows, read_many
from stillme.transfer.steps.rows.table_source import TableSource
from stillme.transfer.steps.syncing.file_clock import file_clock
from stillme.transfer.steps.syncing.file_decisions import Decisions
from stillme.transfer.steps.syncing.file_states import Standing, standing
from stillme.transfer.steps.syncing.history import other_history, require_capture


@dataclass(slots=True)
class Round:
    """What one look into a file found: changes collapsed to keys, and the rows as they are now.

    `witness` is the change at `end`, read with them.
    """

    file: str
    start: int
    end: int
    changes: int
    witness: Witness | None = None
    times: list[float] = field(default_factory=list)
    keys: dict[str, list[Key]] = field(default_factory=dict)
    rows: dict[str, list[RawRow]] = field(default_factory=dict)
    many: dict[str, ManyRows] = field(default_factory=dict)

    def of(self, table: str) -> tuple[list[Key], list[RawRow], ManyRows | None]:
        """(keys, rows, common rows): of many keys the rows are only those that are not common."""
        return self.keys.get(table, []), self.rows.get(table, []), self.many.get(table)


class LiveFile:
    """One open legacy file. `tables` are declared table -> source, parents first.

    `alias` names the target, whose ledger knows how the last import read the file's clock.
    """

    def __init__(
        self,
        file: LegacyFile,
        run_id: int | None,
        *,
        alias: str = "default",
        overwrite: bool = True,
    ) -> None:
        # A follower leaves alone what somebody else wrote in the target (steps/merging/foreign.py).
        self.overwrite = overwrite
        self.file = file
        self.run_id = run_id
        self._alias = alias
        self._place = identity(file.path)
        # A run must see what is written from now on; whoever only looks may read a private copy.
        self.connection = open_legacy(file.path, timeout=2.0, in_place=run_id is not None)
        self.log = ChangeLog(self.connection)
        # The PRAGMA schema_version that everything here was read under.
        self.schema_version = -1
        self.schema: FoundSchema
        self.tables: dict[str, TableSource] = {}
        self.decisions = Decisions()
        # The identity of the capture that is followed.
        self.followed: str | None = None
        self.refresh()

    @property
    def mappings(self) -> dict[str, TableMapping]:
        """Declared table -> mapping, parents first."""
        return {name: source.job.mapping for name, source in self.tables.items()}

    def captured(self) -> list[CapturedTable]:
        """The tables that capture covers."""
        return captured_tables(self.connection, list(self.mappings.values()))

    def capture_status(self) -> CaptureStatus:
        """How capture stands."""
        self.refresh()
        return status(self.connection, self.captured())

    def refresh(self) -> None:
        """Read the schema again where it has changed since.

        In a followed file capture must be healthy under the new schema. Raises StateError.
        """
        with explained(self.file.path):
            version = int(self._pragma("schema_version"))
            if version == self.schema_version:
                return
            self._read_all()
            self.schema_version = version
            if self.followed is not None:
                require_capture(self.file, status(self.connection, self.captured()))

    def _pragma(self, name: str) -> str:
        return str(self.connection.execute(f"PRAGMA {name}").fetchone()[0])

    def standing(self) -> Standing:
        """Where the file stands: nothing else remembers up to which change it was replayed."""
        return standing(self._alias, self.file.name)

    def follow(self) -> Standing:
        """From now on every `look` checks that this is the file, and the history, of the ledger."""
        stand = self.standing()
        self.followed = stand.capture_id
        return stand

    @property
    def is_wal(self) -> bool:
        """Whether the file has a write-ahead log now."""
        return self._pragma("journal_mode") == "wal"

    def check_place(self) -> None:
        """Raise StateError where the path leads to another file than the one that is open."""
        if identity(self.file.path) != self._place:
            raise StateError(
                f"{self.file.path} is not the file any more that was opened there (it was "
                "replaced, moved or deleted): nothing more is replayed from the one that was "
                "open. Run manage.py migration_status; it says what to do."
            )

    def check_history(self, log: ChangeLog, stand: Standing) -> None:
        """Raise StateError where the log is not the one that was followed.

        For a caller that reads in one transaction, or a copy, with that one's `log`: what it checks
        is what it reads.
        """
        if self.followed is None:
            return
        if other := other_history(self.file, log, self.followed, stand):
            raise StateError(other)

    def check_disk(self) -> None:
        """Raise StateError where a fresh connection finds another history than was followed.

        A file in WAL mode that something else than SQLite writes over keeps its wal-index, and
        the open connection keeps its cached pages.
        """
        with closing(open_legacy(self.file.path, timeout=2.0, in_place=True)) as fresh:
            self.check_history(ChangeLog(fresh), self.standing())

    def _read_all(self) -> None:
        self.schema = read_schema(self.connection)
        before = {t: s.job.mapping.digest for t, s in self.tables.items()}
        snapshot = Snapshot(self.file.name, self.file.path, self.file.path, self.schema, 0, "")
        mappings = file_mappings(snapshot, [])
        if before == {t: m.digest for t, m in mappings.items()} and self.tables:
            return
        self.decisions = self._decide(mappings)
        self.tables = {
            table: TableSource(
                TableJob(
                    snapshot=snapshot,
                    mapping=mappings[table],
                    clock=self.decisions.clock,
                    epoch_units=self.decisions.units[table],
                    run_id=self.run_id,
                    parents={p: mappings.get(p) for _, p in mappings[table].references()},
                    overwrite=self.overwrite,
                ),
                self.connection,
            )
            for table in (model._meta.db_table for model in legacy_models(self.file.name))
            if table in mappings
        }

    def _decide(self, mappings: dict[str, TableMapping]) -> Decisions:
        with reading(self.connection):
            scan = scan_on(self.connection)
            tables = list(mappings.values())
            clock = file_clock(self._alias, self.file.name, self.connection, tables)
            ranges = {t: read_number_ranges(scan, m) for t, m in mappings.items()}
            ends = frozenset(
                (table, key)
                for table, mapping in mappings.items()
                for key in end_keys(self.connection, mapping, ranges[table])
            )
        units = {table: units_of(found) for table, found in ranges.items()}
        return Decisions(clock, units, {t: m.digest for t, m in mappings.items()}, ends)

    def decide(self) -> Decisions:
        """Decide as the file is now; nothing of this object changes."""
        with explained(self.file.path):
            return self._decide(self.mappings)

    def forget(self) -> None:
        """Make the next `refresh` read everything again."""
        self.schema_version = -1
        self.tables = {}

    def look(self, limit: int) -> Round:
        """The changes to be replayed and the present rows of their keys, in one short read.

        Raises StateError where the file is not the one that is followed.
        """
        self.check_place()
        stand = self.standing()
        while True:
            self.refresh()
            with explained(self.file.path), reading(self.connection):
                if int(self._pragma("schema_version")) == self.schema_version:
                    return self._look(stand, limit)

    def _look(self, stand: Standing, limit: int) -> Round:
        self.check_history(self.log, stand)
        changes = self.log.after(stand.position, limit)
        found = Round(self.file.name, stand.position, stand.position, len(changes))
        if changes:
            found.end = changes[-1].sequence
            found.times = [change.at for change in changes]
            by_name = collapse(changes, self.mappings.values())
            for table, mapping in self.mappings.items():
                if keys := by_name.get(mapping.table):
                    self._read_rows(found, table, keys)
        found.witness = self.log.witness(found.end)
        return found

    def read(self, keys: Mapping[str, Sequence[Key]]) -> Round:
        """The present rows of keys, by table, in one short read; no changes of the log."""
        found = Round(self.file.name, 0, 0, 0)
        with explained(self.file.path), reading(self.connection):
            for table, wanted in keys.items():
                self._read_rows(found, table, wanted)
        return found

    def _read_rows(self, found: Round, table: str, keys: Sequence[Key]) -> None:
        found.keys[table] = list(keys)
        whole = [key for key in keys if key.is_whole]
        many = read_many(self.tables[table], whole) if len(whole) >= MANY else None
        if many is None:
            found.rows[table] = list(self.rows(table, keys))
            return
        found.many[table] = many
        odd = [key for key in keys if not key.is_whole]
        found.rows[table] = [*many.others, *self.rows(table, odd)]

    def rows(self, table: str, keys: Sequence[Key]) -> Iterator[RawRow]:
        """The present rows of keys; all rows of a table without a key."""
        raw = self.tables[table].raw
        has_key = self.tables[table].job.mapping.key_columns
        yield from raw.keys(keys) if has_key else raw.where("1")

    def data_version(self) -> int:
        """Changes whenever another connection has committed to the file."""
        return int(self._pragma("data_version"))

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()
