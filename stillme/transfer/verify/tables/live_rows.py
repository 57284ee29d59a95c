"""The judge at a cut-over or a rollback: chosen rows of live files, while no application writes.

What takes long (the clock of a file, the units of its numbers) is found before that, in `prepare`.
Then rows are read from the live files themselves, without a snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stillme.transfer.findings import Finding
from stillme.transfer.identity import TableId
from stillme.transfer.keys import Key
from stillme.transfer.project.files import is_built
from stillme.transfer.registry import legacy_models
from stillme.transfer.sqlite.copying.snapshot import Snapshot
from stillme.transfer.sqlite.reading.connect import open_legacy
from stillme.transfer.sqlite.schema.found import read_schema
from stillme.transfer.verify.result import TableProof
from stillme.transfer.verify.structure.reference_tables import check_definitions
from stillme.transfer.verify.structure.table_structure import check_structure
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


class TailJudge:
    """Judges rows of live files by key, waiting `patience` seconds for a file that is locked."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self.patience = _PATIENCE
        self._files: dict[str, _LiveFile] = {}
        self._cases: dict[str, dict[str, TableCase]] = {}

    def prepare(self, file: str, path: Path) -> None:
        """Find what holds for the whole file. Raises LegacyFileError."""
        with closing(open_legacy(path)) as connection:
            schema = read_schema(connection)
        self._files[file] = live = _LiveFile(file, path, path, schema, 0, "")
        self._cases[file] = make_cases(self._alias, live, live=True)

    def structure(self, file: str) -> list[Finding]:
        """How the target tables of a file differ from what is declared, apart from their rows."""
        targets = [model.target_model() for model in legacy_models(file)]
        found = [finding for each in targets for finding in check_structure(self._alias, each)]
        others = is_built(file)
        defined = check_definitions(self._alias, targets, set(targets), by_others=others)
        return [*found, *defined]

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
        now = replace(case, snapshot=read, excluded=parents)
        proof = TableProof(file, table, case.mapping.target)
        with closing(TableJudge(self._alias, now, live=True)) as judge:
            judge.judge_keys(case.mapping.key_columns.held(keys), proof)
        return list(proof.findings.kept)
