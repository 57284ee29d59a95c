"""The stream of common rows of one key range, as blocks of CSV, and its digest."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from typing import Any

from stillme.transfer.mapping import TableMapping
from stillme.transfer.sqlite.common import CommonRows
from stillme.transfer.sqlite.connect import quoted
from stillme.transfer.sqlite.ranges import KeyRange
from stillme.transfer.steps.json_policy import is_clean

_BATCH_ROWS = 400
_MOST_REMEMBERED = 20_000
_Row = tuple[Any, ...]


class CommonStream:
    """Iterating yields CSV blocks of the common rows; `attention` collects the others' rowids.

    After the iteration `rows` is the number of common rows and `hasher` has seen every block.
    Raises sqlite3.OperationalError where stored text is not UTF-8: the whole range then goes the
    careful way.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        mapping: TableMapping,
        common: CommonRows,
        key_range: KeyRange,
    ) -> None:
        self._connection = connection
        self._documents = [position + 2 for position in common.documents]
        self._query, self._values = _select(mapping, common, key_range)
        # The first two values are the rowid and the verdict: printed as nothing.
        self._template = "%.0s%.0s" + ",".join(["%s"] * len(common.cells)) + "\n"
        self._remembered: dict[str, str | None] = {}
        self.attention: list[int] = []
        self.rows = 0
        self.hasher = hashlib.blake2b(digest_size=16)

    def __iter__(self) -> Iterator[bytes]:
        cursor = self._connection.execute(self._query, self._values)
        while batch := cursor.fetchmany(_BATCH_ROWS):
            yield self._block(batch)

    def _block(self, batch: list[_Row]) -> bytes:
        rows = [row for row in batch if row[1]]
        if len(rows) != len(batch):
            self.attention += [row[0] for row in batch if not row[1]]
        for position in self._documents:
            rows = self._with_documents(rows, position)
        template = self._template
        text = "".join([template % row for row in rows])
        if "\0" in text:
            kept = [row for row in rows if "\0" not in template % row]
            self.attention += [row[0] for row in rows if "\0" in template % row]
            rows = kept
            text = "".join([template % row for row in rows])
        self.rows += len(rows)
        data = text.encode("utf-8")
        self.hasher.update(data)
        return data

    def _with_documents(self, rows: list[_Row], position: int) -> list[_Row]:
        """Put the JSON cell of each row in CSV's form; rows whose document is not clean go."""
        done: list[_Row] = []
        remembered = self._remembered
        for row in rows:
            document = row[position]
            cell: str | None = ""
            if document is not None:
                try:
                    cell = remembered[document]
                except KeyError:
                    cell = self._remember(document)
            if cell is None:
                self.attention.append(row[0])
            else:
                done.append((*row[:position], cell, *row[position + 1 :]))
        return done

    def _remember(self, document: str) -> str | None:
        cell = '"' + document.replace('"', '""') + '"' if is_clean(document) else None
        if len(document) < 1000:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[document] = cell
        return cell


def _select(
    mapping: TableMapping, common: CommonRows, key_range: KeyRange
) -> tuple[str, list[int | str]]:
    table = quoted(mapping.table)
    where = "1"
    values: list[int | str] = []
    order = "rowid"
    if mapping.key is not None:
        order = quoted(mapping.key.legacy)
        where, values = key_range.where(order)
    cells = ", ".join(common.cells)
    return (
        f"SELECT rowid, {common.predicate}, {cells} FROM {table} WHERE {where} ORDER BY {order}",
        values,
    )
