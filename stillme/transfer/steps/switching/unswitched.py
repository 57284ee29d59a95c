"""What a cut-over leaves as it is: files that are absent, and stores such as the vector folder."""

from __future__ import annotations

from collections.abc import Sequence

from stillme.transfer.errors import TransferError
from stillme.transfer.inventory.stores import stores
from stillme.transfer.registry import LegacyFile, legacy_files
from stillme.transfer.sqlite.copying.snapshot import is_empty


def unswitched(files: Sequence[LegacyFile]) -> dict[str, str]:
    """Name -> why, for each file and store that the cut-over of `files` leaves as it is."""
    found = {}
    for file in _others(files):
        what = "is empty (0 bytes)" if file.path.exists() else "does not exist"
        found[file.name] = (
            f"{file.path} {what}, so nothing can be frozen; what the application writes to its "
            "tables in PostgreSQL is captured"
        )
    for store in stores():
        if store.is_present():
            found[store.name] = (
                f"{store.path()} is not watched by triggers and takes writes: stop its writers, "
                f"then manage.py import_sqlite --file {store.name}"
            )
    return found


def refuse_if_it_came(files: Sequence[LegacyFile]) -> None:
    """Raise TransferError where a file that was not there has come: it would be left behind."""
    for file in _others(files):
        if file.path.exists() and not is_empty(file.path):
            raise TransferError(
                f"{file.path} was made while the cut-over ran, and is not captured: run "
                "manage.py sync_sqlite --install and --once, then cut over again."
            )


def _others(files: Sequence[LegacyFile]) -> list[LegacyFile]:
    names = {file.name for file in files}
    return [file for file in legacy_files() if file.name not in names]
