"""The legacy files of a verification. Each is copied, looked at, and its tables are judged.

While the tables of one file are judged, the next file is copied already (`begin`, then `end`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from stillme.transfer.errors import StateError
from stillme.transfer.findings import Event, OnEvent
from stillme.transfer.inventory.applied_migrations import refuse_other_migrations
from stillme.transfer.inventory.taking import inventory_of
from stillme.transfer.models import FileState
from stillme.transfer.project.files import is_built, notices_of
from stillme.transfer.records.guessed_times import ADVICE, sentence
from stillme.transfer.records.live_files import require_place
from stillme.transfer.records.proofs import identity
from stillme.transfer.registry import LegacyFile, legacy_models, table_label
from stillme.transfer.sqlite.copying.snapshot import Snapshot, take_snapshot
from stillme.transfer.verify.options import VerifyOptions
from stillme.transfer.verify.result import TableProof, VerifyResult
from stillme.transfer.verify.round_trip import round_trip
from stillme.transfer.verify.sides.utf16_copy import check_converted
from stillme.transfer.verify.structure.reference_tables import check_definitions
from stillme.transfer.verify.structure.table_structure import check_structure, forbids_reading
from stillme.transfer.verify.tables.circle_records import groundless_records
from stillme.transfer.verify.tables.judge_processes import Judges
from stillme.transfer.verify.tables.table_cases import make_cases
from stillme.transfer.verify.tables.table_judge import TableCase
from stillme.transfer.verify.tables.table_levels import (
    Begun,
    begin_full,
    check_keys,
    end_full,
    legacy_rows,
    verify_lightly,
)
from stillme.transfer.verify.tables.written_since_cutover import file_state


@dataclass(slots=True)
class BegunFile:
    """A file whose tables are to be judged. At level full they are handed out already (`begun`)."""

    snapshot: Snapshot
    cases: dict[str, TableCase]
    begun: dict[str, Begun] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileWork:
    """Verifies files into `result`."""

    options: VerifyOptions
    directory: Path
    result: VerifyResult
    on_event: OnEvent

    def begin(self, file: LegacyFile, judges: Judges) -> BegunFile:
        """Copy a file, look at its structure, hand out its rows. Raises TransferError."""
        self.on_event(Event("file", {"file": file.name, "path": str(file.path)}))
        state = file_state(self.options.database, file.name)
        if state == FileState.State.FINISHED:
            raise StateError(
                f"The migration of {file.name} is finished: since then nothing notes what the "
                "application writes in PostgreSQL, so a write cannot be told from a loss."
            )
        require_place(self.options.database, [file])
        which = identity(file.path)
        snapshot = take_snapshot(file.name, file.path, self.directory)
        refuse_other_migrations(snapshot, is_live=state == FileState.State.LIVE)
        check_converted(snapshot)
        self.result.account_for(inventory_of(snapshot, self.options.database))
        self.result.notices += [f"{file.name}: {sentence}." for sentence in snapshot.notices]
        self.result.notices += [*notices_of(file.name), *_computed(file.name)]
        is_live = state == FileState.State.LIVE
        cases = {
            name: replace(case, is_live=is_live)
            for name, case in make_cases(self.options.database, snapshot).items()
        }
        self.result.files[file.name] = {
            "path": str(file.path),
            "sha256": snapshot.sha256,
            "size": snapshot.size,
            "state": state,
            **which,
        }
        found = BegunFile(snapshot, self._fit(file.name, cases))
        if self.options.level == "full":
            for name, case in found.cases.items():
                found.begun[name] = begin_full(self.options.database, case, judges)
        return found

    def _fit(self, file: str, cases: dict[str, TableCase]) -> dict[str, TableCase]:
        """Return the selected tables that exist and whose target can be read; note the others."""
        unfit = self._check_structure(file)
        fit = {}
        for name in self._wanted(file):
            if name not in cases:
                self.result.notices.append(f"{file}: has no table {name}.")
            elif name in unfit:
                self.result.notices.append(
                    f"{name}: rows not compared, the target table is not as declared."
                )
            else:
                fit[name] = cases[name]
        return fit

    def _wanted(self, file: str) -> list[str]:
        names = [model._meta.db_table for model in legacy_models(file)]
        return [name for name in names if self.options.selection.wants(file, name)]

    def _check_structure(self, file: str) -> set[str]:
        """Check the selected target tables of a file; return those whose rows cannot be read."""
        alias = self.options.database
        wanted, unfit = set(), set()
        names = self._wanted(file)
        for model in legacy_models(file):
            name, target = model._meta.db_table, model.target_model()
            if name not in names:
                continue
            wanted.add(target)
            wrong = list(check_structure(alias, target))
            self.result.structure.extend(wrong)
            if any(forbids_reading(finding) for finding in wrong):
                unfit.add(name)
        everything = [model.target_model() for model in legacy_models(file)]
        notices = self.result.notices
        by_others = is_built(file)
        found = check_definitions(alias, everything, wanted, notices, by_others=by_others)
        self.result.structure.extend(found)
        return unfit

    def end(self, file: BegunFile, judges: Judges) -> None:
        """Judge the tables of a file. Raises TransferError."""
        followed = self._is_followed(file.snapshot.file)
        for name, case in file.cases.items():
            self.on_event(
                Event(
                    "table",
                    {"table": table_label(case.mapping.identity), "total": legacy_rows(case)},
                )
            )
            proof = self._proof(name, case, file.begun.get(name), judges)
            check_keys(self.options.database, case, proof, followed=followed)
            if self.options.round_trip:
                round_trip(self.options.database, case, self.directory, proof)
            self.result.tables.append(proof)
            if proof.guessed:
                told = f"{name}: {sentence(proof.guessed)}: {ADVICE}."
                self.result.notices.append(told)
            self.on_event(
                Event(
                    "done", {"table": table_label(case.mapping.identity), "rows": proof.legacy_rows}
                )
            )

        proofs = {(proof.file, proof.table): proof for proof in self.result.tables}
        for name, finding in groundless_records(self.options.database, file.cases):
            proofs[file.snapshot.file, name].findings.add(finding)

    def _proof(self, name: str, case: TableCase, begun: Begun | None, judges: Judges) -> TableProof:
        if begun is None:
            return verify_lightly(self.options, case, judges)
        return end_full(
            self.options, begun, partial(self._tell_rows, table_label(case.mapping.identity))
        )

    def _tell_rows(self, table: str, rows: int) -> None:
        self.on_event(Event("progress", {"table": table, "rows": rows}))

    def _is_followed(self, file: str) -> bool:
        followed = bool(self.result.files[file]["state"] == FileState.State.FOLLOWING)
        if followed:
            self.result.notices.append(
                f"{file} is followed: its next ids are not looked at, the cut-over sets them."
            )
        return followed


def _computed(file: str) -> list[str]:
    """A notice for each target column that PostgreSQL computes by itself."""
    return [
        f"{model._meta.db_table}.{field.column}: PostgreSQL computes it, it was not compared."
        for model in legacy_models(file)
        for field in model.target_model()._meta.local_concrete_fields
        if field.generated
    ]
