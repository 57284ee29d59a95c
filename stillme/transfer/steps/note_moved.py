"""sync_sqlite --moved: a captured file is at another place now, and it is the same file."""

from __future__ import annotations

from pathlib import Path

from django.db import transaction

from stillme.transfer.errors import StateError
from stillme.transfer.findings import Event, OnEvent, ignore_event
from stillme.transfer.inventory.selection import Selection, files_at_hand
from stillme.transfer.postgresql.locks import exclusive
from stillme.transfer.records.live_files import is_gone, is_one_file, other_file, place
from stillme.transfer.registry import LegacyFile
from stillme.transfer.steps.install_capture import CaptureReport, capture_reports
from stillme.transfer.steps.sealing.seal import seal
from stillme.transfer.steps.syncing import file_states
from stillme.transfer.steps.syncing.file_condition import history_problem
from stillme.transfer.steps.syncing.file_states import State
from stillme.transfer.steps.syncing.history import require_capture
from stillme.transfer.steps.syncing.live_file import LiveFile


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
    if not is_gone(former) and not is_one_file(former, file.path):
        raise StateError(
            f"{former} is still there, and so is {file.path}: the application may write to "
            f"either. Move {former} away, or set the path of {file.name} back to it."
        )
    live = LiveFile(file, None)
    try:
        require_capture(file, live.capture_status())
        other = history_problem(live, stand)
    finally:
        live.close()
    if other:
        raise StateError(other)
    with transaction.atomic(using=alias):
        file_states.note(alias, file.name, schema_version=-1, **place(file.path))
    if stand.state == State.LIVE:
        seal(alias, [file], on_event)
    message = f"{file.name}: {file.path} is the followed file now (it was {former})."
    on_event(Event("notice", {"message": message}))
