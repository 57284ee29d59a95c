"""The judge at a cut-over or a rollback: chosen rows of live files, while no application writes.

What takes long (the clock of a file, the units of its numbers) is found before that, in `prepare`.
Then rows are read from the live files themselves, without a snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from stillme.transfer.findings import Finding
from stillme.transfer.identity import TableId
from stillme.transfer.keys import Key
from stillme.transfer.sqlite.copying.snapshot import Snapshot
from stillme.transfer.sqlite.reading.connect import open_legacy
from stillme.transfer.sqlite.schema.found import read_schema
from stillme.transfer.verify.result import TableProof
from stillme.transfer.verify.tables.chosen_rows import AT_ONCE
from stillme.transfer.verify.tables.table_cases import excluded_keys, make_cases
from stillme.transfer.verify.tables.table_judge import TableCase, TableJudge

_PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class _LiveFile(Snapshot):
    """Stands for a snapshot; its file is written to, so it is never opened as immutable."""

    patience: float = _PATIENCE

    def open(self) -> Any:
        """A read-only connection that respects the locks of writers."""
        return open_legacy(self.path, timeout=self.patience)


class _LiveJudge(TableJudge):
    """Reads no blocks: a second SQLite library in this process would drop the first one's locks."""

    def open_readers(self) -> None:
        """None."""


class TailJudge:
    """Judges rows of live files by key, waiting `patience` seconds for a file that is locked."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self.patience = _PATIENCE
        self._cases: dict[str, dict[str, TableCase]] = {}
        self._files: dict[str, _LiveFile] = {}

    def __enter__(self) -> TailJudge:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cases.clear()

    def prepare(self, file: str, path: Path) -> None:
        """Find what holds for the whole file. Raises LegacyFileError."""
        connection = open_legacy(path)
        try:
            schema = read_schema(connection)
        finally:
            connection.close()
        live = _LiveFile(file, path, path, schema, 0, "")
        self._cases[file] = make_cases(self._alias, live, live=True)
        self._files[file] = live

    def judge(self, file: str, table: str, keys: Sequence[Key]) -> list[Finding]:
        """What differs between the two sides in the rows of these keys."""
        case = self._cases[file].get(table)
        if case is None or not case.mapping.key_columns or not keys:
            return []
        # Rows may have come into quarantine, or out of it, since `prepare`.
        parents = {
            name: excluded_keys(self._alias, TableId(file, name), parent)
            for name, parent in case.parents.items()
        }
        read = replace(self._files[file], patience=self.patience)
        judge = _LiveJudge(self._alias, replace(case, snapshot=read, excluded=parents))
        proof = TableProof(file, table, case.mapping.target)
        wanted = case.mapping.key_columns.held(keys)
        try:
            for start in range(0, len(wanted), AT_ONCE):
                judge.judge_keys(wanted[start : start + AT_ONCE], proof)
        finally:
            judge.close()
        return list(proof.findings.kept)
