"""Capture of a file's writes: `sync_sqlite --install`, `--moved`, `--remove` and `--status`.

Before anything is installed every way of writing is tried on a copy of the file. If one of them is
not captured, nothing is installed in any file.
"""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from django.db import connections
from django.db.models import Max

from stillme.transfer.errors import StateError
from stillme.transfer.findings import Event, OnEvent, ignore_event
from stillme.transfer.inventory.selection import Selection, files_at_hand
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import Run
from stillme.transfer.plumbing.presence import GONE, absence
from stillme.transfer.plumbing.scratch import scratch_folder
from stillme.transfer.postgresql.distributed import refuse_where_distributed
from stillme.transfer.postgresql.locks import exclusive
from stillme.transfer.records.live_files import (
    is_one_file,
    is_one_path,
    other_file,
    place,
)
from stillme.transfer.registry import LegacyFile
from stillme.transfer.sqlite import capture
from stillme.transfer.sqlite.capture import CaptureStatus, Health, Probe
from stillme.transfer.sqlite.copying.snapshot import Snapshot, take_snapshot
from stillme.transfer.sqlite.reading.connect import explain
from stillme.transfer.sqlite.schema.foreign_names import is_about_a_name
from stillme.transfer.steps.loading.plan import file_mappings
from stillme.transfer.steps.sealing.seal import seal
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_condition import condition, history_problem
from stillme.transfer.steps.syncing.file_states import Action, Standing, State
from stillme.transfer.steps.syncing.history import require_capture
from stillme.transfer.steps.syncing.live_file import LiveFile

_PATIENCE = 10.0


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
    files = files_at_hand(selection, on_event)
    reports = []
    file_states.require(alias, [file.name for file in files], Action.INSTALL)
    # The follower and the cut-over, which capture is for, are refused there.
    refuse_where_distributed(connections[alias], "Capture")
    for file in files:
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
    noted = file_states.standing(alias, file.name).details.get("path")
    sentence = other_file(alias, file)
    if sentence and noted and absence(Path(noted)) != GONE and not is_one_path(noted, file.path):
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
    """Whether the indexes are sound: a follower looks rows up by key, and SQLite trusts them."""
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
    """Whether SQLite compares the key byte by byte.

    With a collation 'a' and 'A' can be one key: REPLACE with 'A' deletes row 'a', and no trigger
    logs 'a'. Without a primary key or a unique index a key may also occur twice.
    """
    ok = mapping.key_is_in_order
    name = ", ".join(mapping.key_columns.names)
    note = (
        f"declare {name} TEXT PRIMARY KEY, without a collation, by making the table again; or do "
        "not follow: stop the writers, then import_sqlite"
    )
    return Probe("keys by their bytes", mapping.table, ok, "" if ok else note)


def _install_one(alias: str, file: LegacyFile, report: CaptureReport) -> None:
    stand = file_states.standing(alias, file.name)
    with closing(LiveFile(file, None)) as live:
        tables = live.captured()
        before = live.capture_status()
        _refuse_other_target(file, stand, before)
        moved = other_file(alias, file) or history_problem(live, stand)
        same = before.is_healthy and stand.state != State.ABSENT and not moved
        # In the ledger first: if this command is killed, the next one knows the file as its own.
        identity = "" if same else uuid.uuid4().hex
        if identity:
            file_states.move(alias, file.name, stand.state, installing=identity)
        with file_states.held(alias, file.name) as now:
            _refuse_overtaken(stand, now, identity)
            after = capture.install(
                file.path, tables, identity=identity, renew=not same, timeout=_PATIENCE
            )
            live.refresh()
            report.health, report.changes = after.health, live.log.last()
            if not same:
                _begin(alias, live, after)
    report.state = file_states.standing(alias, file.name).state


def _refuse_overtaken(before: Standing, now: Standing, identity: str) -> None:
    """Raise StateError where another command has moved the file, or installs capture too.

    A cut-over, say: its way back needs the capture that it froze the file with.
    """
    if sentence := now.refusal(Action.INSTALL):
        raise StateError(sentence)
    is_ours = now.details.get("installing") == identity if identity else True
    if not is_ours or now.capture_id != before.capture_id:
        raise StateError(
            f"Another command installed capture in {now.file} meanwhile: run "
            "manage.py sync_sqlite --install again."
        )


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
    """Note a new capture. It knows nothing of earlier writes, so the file must be loaded again."""
    file, last = live.file, live.log.last()
    file_states.move(
        alias,
        file.name,
        State.CAPTURED,
        position=last,
        capture_id=status.capture_id,
        captured_after=Run.objects.using(alias).aggregate(last=Max("pk"))["last"] or 0,
        witness=live.log.witness(last),
        schema_version=live.schema_version,
        installing=None,
        bypassed=None,
        clock=None,
        **place(file.path),
    )


def remove_capture(
    alias: str, selection: Selection, on_event: OnEvent = ignore_event
) -> list[CaptureReport]:
    """Take capture out of the files. Raises TransferError (a live file keeps its freeze).

    Not under a follower: what is written from then on would be lost to it without a word.
    """
    files = files_at_hand(selection, on_event)
    with exclusive(alias):
        return [_remove_one(alias, file) for file in files]


def _remove_one(alias: str, file: LegacyFile) -> CaptureReport:
    file_states.require(alias, [file.name], Action.REMOVE)
    refuse_copy(alias, file)
    # If the ledger cannot be written, the file is left as it is.
    with file_states.held(alias, file.name) as stand:
        if stand.state != State.ABSENT:
            gone = dict.fromkeys(("capture_id", "witness", "path", "device", "inode"))
            file_states.move(alias, file.name, State.ABSENT, position=0, **gone)
        capture.remove(file.path, timeout=_PATIENCE)
    return CaptureReport(file.name, file.path, Health.ABSENT)


def capture_reports(
    alias: str, selection: Selection, on_event: OnEvent = ignore_event
) -> list[CaptureReport]:
    """How capture stands in each file; writes nothing to them. Raises LegacyFileError."""
    reports = []
    for file in files_at_hand(selection, on_event):
        found = condition(alias, file)
        found.require_readable()
        problems = filter(None, (*found.capture.problems, found.misplaced or found.history))
        reports.append(
            CaptureReport(
                file.name,
                file.path,
                found.capture.health,
                tuple(problems),
                found.stand.state,
                found.lag.changes,
                found.frozen,
            )
        )
    return reports


def moved_files(
    alias: str, selection: Selection, on_event: OnEvent = ignore_event
) -> list[CaptureReport]:
    """Note that captured files are at other places now. Raises StateError.

    A file must bring the history that was replayed, and nothing else may be left at its former
    place. The next sweep compares all its rows.
    """
    files = files_at_hand(selection, on_event)
    with exclusive(alias):
        for file in files:
            _move_one(alias, file, on_event)
    return capture_reports(alias, selection)


def _move_one(alias: str, file: LegacyFile, on_event: OnEvent) -> None:
    stand = file_states.standing(alias, file.name)
    if stand.state == State.ABSENT or other_file(alias, file) is None:
        return
    former = Path(stand.details["path"])
    if absence(former) != GONE and not is_one_file(former, file.path):
        raise StateError(
            f"{former} is still there, and so is {file.path}: the application may write to "
            f"either. Move {former} away, or set the path of {file.name} back to it."
        )
    with closing(LiveFile(file, None)) as live:
        require_capture(file, live.capture_status())
        if other := history_problem(live, stand):
            raise StateError(other)
    file_states.note(alias, file.name, schema_version=-1, **place(file.path))
    if stand.state == State.LIVE:
        seal(alias, [file], on_event)
    message = f"{file.name}: {file.path} is the followed file now (it was {former})."
    on_event(Event("notice", {"message": message}))
