"""Reading the rows of one table for the loader: common rows as a stream, the others one by one."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Protocol

from stillme.transfer.mapping import TableMapping
from stillme.transfer.records.table_job import TableJob
from stillme.transfer.sqlite.clock.time_spans import time_spans
from stillme.transfer.sqlite.reading.other_rows import ParentTable, gapless_keys
from stillme.transfer.sqlite.reading.row_source import RowSource, SnapshotRows
from stillme.transfer.sqlite.reading.snapshot_reader import keep_keys
from stillme.transfer.sqlite.reading.stored_rows import RawReader
from stillme.transfer.steps.kinds import loader_of
from stillme.transfer.steps.kinds.base import Table
from stillme.transfer.steps.rows.common_rows import common_rows
from stillme.transfer.steps.rows.faulty_rows import faulty_rows
from stillme.transfer.steps.rows.mended_rows import mended_rows
from stillme.transfer.steps.rows.unusual_rows import CarefulLoader


class Source(Protocol):
    """What converting a raw row takes: the job and its careful loader."""

    job: TableJob
    careful: CarefulLoader


class TableSource:
    """The job's snapshot, or a live `connection`, with everything that reads from it.

    Common rows come from `stream`, rows that need attention from `raw`; or from `lean`, which
    leaves huge values of a snapshot in the file.
    """

    def __init__(self, job: TableJob, connection: sqlite3.Connection | None = None) -> None:
        self.job = job
        self.stream: RowSource
        if connection is None:
            self.connection = job.snapshot.open()
            self.stream = SnapshotRows(job.snapshot.path)
        else:
            self.connection = connection
            self.stream = RowSource(connection)
        self.parents = {
            table: self._parent(table, mapping) for table, mapping in job.parents.items()
        }
        for column in job.mapping.columns:
            self.stream.know(loader_of(column.kind).functions)
        spans = time_spans(self.stream.rows, job.mapping)
        table = Table(job.mapping, job.clock, self.parents, self.stream, spans, job.epoch_units)
        self.common = common_rows(table)
        self.mended = mended_rows(replace(table, documents_are_clean=True), job.run_id)
        has_documents = any(column.kind.is_document for column in job.mapping.columns)
        self.mended_documents = mended_rows(table, job.run_id) if has_documents else None
        self.faulty = faulty_rows(table)
        self.raw = RawReader(self.connection, job.mapping, self.parents)
        self.lean = RawReader(self.connection, job.mapping, self.parents, self.stream)
        self.careful = CarefulLoader(job.mapping, job.clock, job.epoch_units)

    def _parent(self, table: str, mapping: TableMapping | None) -> ParentTable | None:
        if mapping is None or not mapping.key_columns.is_single:
            return None
        excluded = None
        if keys := self.job.set_aside.get(table, ()):
            excluded = f"set_aside_{table}"
            keep_keys(self.connection, excluded, keys)
            if isinstance(self.stream, SnapshotRows):
                self.stream.keep_keys(excluded, keys)
        key = mapping.key_columns.names[0]
        gapless = None
        # A live file may lose a row at any moment.
        is_still = isinstance(self.stream, SnapshotRows) and self.job.mapping.has_rowid
        if is_still and mapping.key_is_rowid:
            child = self.job.mapping.table
            gapless = gapless_keys(self.stream.rows, mapping.table, key, child)
        return ParentTable(mapping.table, key, excluded, mapping.key_is_rowid, gapless)

    def close(self) -> None:
        """Close what reads."""
        self.stream.close()
        self.connection.close()
