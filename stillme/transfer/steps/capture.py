"""Installing, judging and removing capture, with the state of each file."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from django.db import transaction

from stillme.transfer.errors import LegacyFileError, StateError
from stillme.transfer.findings import Event, OnEvent, ignore_event
from stillme.transfer.live_identity import (
    is_gone,
    is_one_path,
    other_file,
    place,
)
from stillme.transfer.mapping import TableMapping, split_table
from stillme.transfer.models_sync import RangeDigest
from stillme.transfer.postgresql.capture import TargetTable
from stillme.transfer.postgresql.locks import exclusive
from stillme.transfer.registry import LegacyFile, legacy_models
from stillme.transfer.scratch import scratch_folder
from stillme.transfer.selection import Selection, present_files
from stillme.transfer.sqlite import capture
from stillme.transfer.sqlite.capture import CaptureStatus, Health, Probe, captured_tables
from stillme.transfer.sqlite.connect import explain
from stillme.transfer.sqlite.foreign_names import is_about_a_name
from stillme.transfer.sqlite.snapshot import Snapshot, take_snapshot
from stillme.transfer.steps.loading.plan import file_mappings
from stillme.transfer.steps.syncing import states
from stillme.transfer.steps.syncing.live_file import LiveFile, problem_of
from stillme.transfer.steps.syncing.states import Standing, State

_PATIENCE = 10.0
# While the legacy side is in charge, capture may be put in and taken out.
_SWITCHABLE = (
    State.ABSENT,
    State.CAPTURED,
    State.LOADED,
    State.FOLLOWING,
    State.ROLLED_BACK,
)


@dataclass(slots=True)
class CaptureReport:
    """Capture in one file: what stands in it, and what the probes said."""

    file: str
    path: Path
    health: Health
    problems: tuple[str, ...] = ()
    state: str = State.ABSENT
    changes: int = 0
    frozen: float | None = None
    probes: list[Probe] = field(default_factory=list)


_ONLY_ITS_OWN = (
    "Only the program that wrote the file has that function or collation, and the way back would "
    "need it: do not follow this file. Stop its writers, then import_sqlite. "
)


def install_capture(
    alias: str, selection: Selection, on_event: OnEvent = ignore_event
) -> list[CaptureReport]:
    """Probe a scratch copy of each file, then install. Raises TransferError before any change."""
    files = present(selection, on_event)
    reports = []
    for file in files:
        states.require(states.standing(alias, file.name), *_SWITCHABLE, what="installing capture")
        refuse_copy(alias, file)
        probes = probe_file(file)
        failed = [probe for probe in probes if not probe.ok]
        if failed:
            first = failed[0]
            advice = _ONLY_ITS_OWN if is_about_a_name(first.note) else ""
            raise StateError(
                f"Capture cannot be trusted with {file.path}: the probe {first.name!r} on "
                f"{first.table or 'the file'} fails ({first.note}); nothing was installed. "
                f"{advice}See docs/how-it-works/capture-and-cut-over.md."
            )
        reports.append(CaptureReport(file.name, file.path, Health.ABSENT, probes=probes))
        on_event(Event("probed", {"file": file.name, "probes": len(probes)}))
    for file, report in zip(files, reports, strict=True):
        _install_one(alias, file, report)
    return reports


def refuse_copy(alias: str, file: LegacyFile) -> None:
    """Raise StateError where the settings name another file while the captured one is there."""
    noted = states.standing(alias, file.name).details.get("path")
    sentence = other_file(alias, file)
    if sentence and noted and not is_gone(Path(noted)) and not is_one_path(noted, file.path):
        raise StateError(sentence)


def probe_file(file: LegacyFile) -> list[Probe]:
    """Run the probes on a scratch copy of the file, capture of an earlier install taken out."""
    with scratch_folder("probe") as folder:
        snapshot = take_snapshot(file.name, file.path, folder, keep_indexes=True)
        indexes = _sound_indexes(snapshot)
        capture.remove(snapshot.path)
        mappings = list(file_mappings(snapshot, []).values())
        probes = [indexes, *capture.run_probes(snapshot.path, mappings)]
        return probes + [_key_order(m) for m in mappings if m.key_columns]


def _sound_indexes(snapshot: Snapshot) -> Probe:
    """A follower looks rows up by key in the live file, where SQLite believes its indexes."""
    try:
        with closing(snapshot.open()) as connection:
            found = connection.execute("PRAGMA integrity_check").fetchall()
    except sqlite3.Error as error:
        if is_about_a_name(error):
            return Probe("indexes agree with their tables", "", False, str(error))
        raise explain(snapshot.source, error) from error
    # What else it says (a NULL in a required column) does not make a look-up wrong.
    problems = [text for (text,) in found if " index " in text]
    note = f"{problems[0]}; stop the application and run REINDEX on the file" if problems else ""
    return Probe("indexes agree with their tables", "", not problems, note)


def _key_order(mapping: TableMapping) -> Probe:
    """A key that equals another spelling of itself pushes that row out without a trigger's word.

    One that no primary key holds apart may also stand twice.
    """
    ok = mapping.key_is_in_order
    name = ", ".join(mapping.key_columns.names)
    note = (
        f"declare {name} TEXT PRIMARY KEY, without a collation, by making the table anew; or do "
        "not follow: stop the writers, then import_sqlite"
    )
    return Probe("keys by their bytes", mapping.table, ok, "" if ok else note)


def _install_one(alias: str, file: LegacyFile, report: CaptureReport) -> None:
    stand = states.standing(alias, file.name)
    live = LiveFile(file, None)
    try:
        tables = live.captured()
        before = live.capture_status()
        _refuse_other_target(file, stand, before)
        same = (
            before.is_healthy and stand.state != State.ABSENT and not _misplaced(alias, live, stand)
        )
        # In the ledger first: if this command is killed, the next one knows the file as its own.
        identity = "" if same else uuid.uuid4().hex
        if identity:
            states.announce(alias, file.name, installing=identity)
        after = capture.install(
            file.path, tables, identity=identity, renew=not same, timeout=_PATIENCE
        )
        live.refresh()
        report.health, report.changes = after.health, live.log.last()
        if not same:
            _begin(alias, live, after)
    finally:
        live.close()
    report.state = states.standing(alias, file.name).state


def _refuse_other_target(file: LegacyFile, stand: Standing, before: CaptureStatus) -> None:
    """Two targets cannot follow one file: each would trim changes that the other one lacks."""
    ours = (stand.details.get("capture_id"), stand.details.get("installing"))
    if before.capture_id and before.capture_id not in ours:
        raise StateError(
            f"The changes of {file.path} are captured for another target than this one, and two "
            "cannot follow one file: run manage.py sync_sqlite --remove with the settings of the "
            "other one, or with these if it is given up; then manage.py sync_sqlite --install."
        )


def _begin(alias: str, live: LiveFile, status: CaptureStatus) -> None:
    """A new capture: what was written before it is known only to a load that comes after."""
    file, last = live.file, live.log.last()
    witness = live.log.witness(last)
    with transaction.atomic(using=alias):
        states.move(
            alias,
            file.name,
            State.CAPTURED,
            capture_id=status.capture_id,
            captured_at=states.server_now(alias),
            witness=None if witness is None else witness.as_list(),
            schema_version=live.schema_version,
            installing=None,
            bypassed=None,
            clock=None,
            **place(file.path),
        )
        states.restart(alias, file.name, last)
        RangeDigest.objects.using(alias).filter(file=file.name).delete()


def remove_capture(
    alias: str, selection: Selection, on_event: OnEvent = ignore_event
) -> list[CaptureReport]:
    """Take capture out of the files. Raises TransferError (a live file keeps its freeze).

    Not under a follower: what is written from then on would be lost to it without a word.
    """
    files = present(selection, on_event)
    with exclusive(alias):
        return [_remove_one(alias, file, on_event) for file in files]


def _remove_one(alias: str, file: LegacyFile, on_event: OnEvent) -> CaptureReport:
    states.require(states.standing(alias, file.name), *_SWITCHABLE, what="removing capture")
    refuse_copy(alias, file)
    had = capture.remove(file.path, timeout=_PATIENCE)
    with transaction.atomic(using=alias):
        if states.standing(alias, file.name).state != State.ABSENT:
            nowhere = {"path": None, "device": None, "inode": None}
            states.move(alias, file.name, State.ABSENT, capture_id=None, witness=None, **nowhere)
            states.restart(alias, file.name, 0)
        RangeDigest.objects.using(alias).filter(file=file.name).delete()
    on_event(Event("removed", {"file": file.name, "had": had}))
    return CaptureReport(file.name, file.path, Health.ABSENT)


def capture_reports(
    alias: str, selection: Selection, on_event: OnEvent = ignore_event
) -> list[CaptureReport]:
    """How capture stands in each file; writes nothing to them."""
    reports = []
    for file in present(selection, on_event):
        live = LiveFile(file, None)
        try:
            found = live.capture_status()
            stand = states.standing(alias, file.name)
            changes = 0
            if found.health not in (Health.ABSENT, Health.HAND_EDITED) and found.capture_id:
                changes = max(0, live.log.last() - stand.position)
            reports.append(
                CaptureReport(
                    file.name,
                    file.path,
                    found.health,
                    (*found.problems, *filter(None, [_misplaced(alias, live, stand)])),
                    stand.state,
                    changes,
                    capture.frozen_until(live.connection),
                )
            )
        finally:
            live.close()
    return reports


def _misplaced(alias: str, live: LiveFile, stand: Standing) -> str:
    """The sentence for a file that is not the one that was captured, or has another history."""
    return other_file(alias, live.file) or problem_of(live, stand)


def target_tables(files: Sequence[str]) -> list[TargetTable]:
    """The target tables of some files, with their key columns."""
    found = []
    for name in files:
        for model in legacy_models(name):
            target = model.target_model()
            schema, table = split_table(target._meta.db_table)
            assert target._meta.pk is not None
            found.append(TargetTable(schema, table, str(target._meta.pk.column)))
    return found


def require_capture_tables(live: LiveFile) -> None:
    """Raise LegacyFileError where a file has none of the declared tables."""
    if not captured_tables(live.connection, list(live.mappings.values())):
        raise LegacyFileError(f"{live.file.path} has none of the known tables: check the path.")


def present(selection: Selection, on_event: OnEvent) -> list[LegacyFile]:
    """The selected files that are there; the others are told as notices."""
    notices: list[str] = []
    selection.check()
    files = present_files(selection, notices)
    for sentence in notices:
        on_event(Event("notice", {"message": sentence}))
    return files
