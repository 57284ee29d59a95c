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
_SHORT = 60
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
        self._documents = [2 + n for n in range(len(common.documents))]
        self._query, self._values = _select(mapping, common, key_range)
        # Rowid, verdict and raw documents are looked at and printed as nothing.
        silent = "%.0s" * (2 + len(common.documents))
        self._template = silent + "%s" * len(common.pieces)
        self._known: dict[str, bool] = {}
        self.attention: list[int] = []
        self.rows = 0
        self.hasher = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        cursor = self._connection.execute(self._query, self._values)
        while batch := cursor.fetchmany(_BATCH_ROWS):
            yield self._block(batch)

    def _block(self, batch: list[_Row]) -> bytes:
        rows = [row for row in batch if row[1]]
        if len(rows) != len(batch):
            self.attention += [row[0] for row in batch if not row[1]]
        for position in self._documents:
            rows = self._with_clean_documents(rows, position)
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

    def _with_clean_documents(self, rows: list[_Row], position: int) -> list[_Row]:
        """The rows whose document jsonb takes as it is; the others need attention."""
        verdicts = [row[position] is None or self._is_clean(row[position]) for row in rows]
        if all(verdicts):
            return rows
        pairs = list(zip(rows, verdicts, strict=True))
        self.attention += [row[0] for row, clean in pairs if not clean]
        return [row for row, clean in pairs if clean]

    def _is_clean(self, document: str) -> bool:
        """Short documents (``{"user_id": null}``) repeat: their verdicts are remembered."""
        if len(document) > _SHORT:
            return is_clean(document)
        known = self._known.get(document)
        if known is None:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            known = self._known[document] = is_clean(document)
        return known


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
    values_out = ", ".join(("rowid", common.predicate, *common.documents, *common.pieces))
    return f"SELECT {values_out} FROM {table} WHERE {where} ORDER BY {order}", values
