"""The legacy files of a verification. Each is copied, looked at, and its tables are judged.

While the tables of one file are judged, the next file is copied already (`begin`, then `end`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from stillme.transfer.errors import StateError
from stillme.transfer.findings import Event, OnEvent
from stillme.transfer.inventory.applied_migrations import refuse_other_migrations
from stillme.transfer.inventory.taking import inventory_of
from stillme.transfer.models import FileState
from stillme.transfer.project.files import is_built, notices_of
from stillme.transfer.records.live_files import require_place
from stillme.transfer.records.proofs import identity
from stillme.transfer.records.recorded_clock import GUESS_ADVICE, guess_sentence
from stillme.transfer.registry import LegacyFile, legacy_models, table_label
from stillme.transfer.sqlite.copying.snapshot import Snapshot, take_snapshot
from stillme.transfer.verify.options import VerifyOptions
from stillme.transfer.verify.result import TableProof, VerifyResult
from stillme.transfer.verify.round_trip import round_trip
from stillme.transfer.verify.sides.utf16_copy import check_converted
from stillme.transfer.verify.structure.reference_tables import check_definitions
from stillme.transfer.verify.structure.table_structure import check_structure, forbids_reading
from stillme.transfer.verify.tables.circle_records import groundless_records
from stillme.transfer.verify.tables.judge_processes import HandOut
from stillme.transfer.verify.tables.table_cases import make_cases
from stillme.transfer.verify.tables.table_judge import TableCase
from stillme.transfer.verify.tables.table_levels import (
    begin_full,
    check_keys,
    end_full,
    verify_lightly,
)
from stillme.transfer.verify.tables.written_since_cutover import file_state


@dataclass(slots=True)
class BegunFile:
    """A file whose tables are to be judged: by its name in the file each one's number of `rows`.

    At level full they are handed out already (`begun`).
    """

    snapshot: Snapshot
    cases: dict[str, TableCase]
    rows: dict[str, int]
    begun: dict[str, Iterator[TableProof]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileWork:
    """Verifies files into `result`."""

    options: VerifyOptions
    directory: Path
    result: VerifyResult
    on_event: OnEvent
    hand_out: HandOut

    def begin(self, file: LegacyFile) -> BegunFile:
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
        snapshot = take_snapshot(file.name, file.path, self.directory, whole=True)
        refuse_other_migrations(snapshot, is_live=state == FileState.State.LIVE)
        check_converted(snapshot)
        inventory = inventory_of(snapshot, self.options.database)
        self.result.account_for(inventory)
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
        rows = {each.name: each.rows or 0 for each in inventory if each.fate == "carried"}
        found = BegunFile(snapshot, self._fit(file.name, cases, is_live=is_live), rows)
        if self.options.level == "full":
            for name, case in found.cases.items():
                total = rows.get(case.mapping.table, 0)
                found.begun[name] = begin_full(self.options.database, case, total, self.hand_out)
        return found

    def _fit(
        self, file: str, cases: dict[str, TableCase], *, is_live: bool
    ) -> dict[str, TableCase]:
        """Check the selected target tables of a file; return the cases whose rows can be read."""
        alias, notices = self.options.database, self.result.notices
        fit, wanted = {}, set()
        for model in legacy_models(file):
            name, target = model._meta.db_table, model.target_model()
            if not self.options.selection.wants(file, name):
                continue
            wanted.add(target)
            wrong = list(check_structure(alias, target, is_live=is_live))
            self.result.structure.extend(wrong)
            if name not in cases:
                notices.append(f"{file}: has no table {name}.")
            elif any(map(forbids_reading, wrong)):
                notices.append(f"{name}: rows not compared, the target table is not as declared.")
            else:
                fit[name] = cases[name]
        everything = [model.target_model() for model in legacy_models(file)]
        by_others = is_built(file)
        found = check_definitions(alias, everything, wanted, notices, by_others=by_others)
        self.result.structure.extend(found)
        return fit

    def end(self, file: BegunFile) -> None:
        """Judge the tables of a file. Raises TransferError."""
        alias, result = self.options.database, self.result
        state = result.files[file.snapshot.file]["state"]
        if state == FileState.State.FOLLOWING:
            result.notices.append(
                f"{file.snapshot.file} is followed: its next ids are not looked at, the cut-over "
                "sets them."
            )
        proofs = {}
        for name, case in file.cases.items():
            label = table_label(case.mapping.identity)
            total = file.rows.get(case.mapping.table, 0)
            self.on_event(Event("table", {"table": label, "total": total}))
            proofs[name] = proof = self._proof(label, case, file.begun.get(name))
            check_keys(alias, case, proof, state)
            if self.options.round_trip:
                round_trip(alias, case, self.directory, proof)
            result.tables.append(proof)
            if proof.guessed:
                result.notices.append(f"{name}: {guess_sentence(proof.guessed)}: {GUESS_ADVICE}.")
            self.on_event(Event("done", {"table": label, "rows": proof.legacy_rows}))
        for name, finding in groundless_records(alias, file.cases):
            proofs[name].findings.add(finding)

    def _proof(self, label: str, case: TableCase, begun: Iterator[TableProof] | None) -> TableProof:
        if begun is None:
            return verify_lightly(self.options, case, self.hand_out)

        def tell(rows: int) -> None:
            self.on_event(Event("progress", {"table": label, "rows": rows}))

        return end_full(self.options.database, case, begun, tell)


def _computed(file: str) -> list[str]:
    """A notice for each target column that PostgreSQL computes by itself."""
    return [
        f"{model._meta.db_table}.{field.column}: PostgreSQL computes it, it was not compared."
        for model in legacy_models(file)
        for field in model.target_model()._meta.local_concrete_fields
        if field.generated
    ]
