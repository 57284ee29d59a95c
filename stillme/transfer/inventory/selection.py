"""Which legacy files and tables a command works on."""

from __future__ import annotations

import glob
from contextlib import suppress
from dataclasses import dataclass

from stillme.transfer.conf import conf
from stillme.transfer.errors import LegacyFileError, NoLegacyFile, TransferError
from stillme.transfer.findings import Event, OnEvent
from stillme.transfer.inventory.stores import stores
from stillme.transfer.plumbing.presence import GONE, absence
from stillme.transfer.registry import LegacyFile, legacy_files, legacy_models


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files and tables (legacy names); empty means all.

    A table is named as in its file, which selects it in every file that has one, or after its
    file: ``rss.rss_fetch_items``.
    """

    files: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()

    def check(self, *, with_stores: bool = False) -> None:
        """Raises TransferError for a name that does not exist, or for a store where none can be."""
        if not with_stores:
            for store in stores():
                if store.name in self.files:
                    raise TransferError(store.live_refusal)
        files = [file.name for file in legacy_files()]
        files += [store.name for store in stores()] if with_stores else []
        tables = list(dict.fromkeys(model._meta.db_table for model in legacy_models()))
        full = {str(model.identity()) for model in legacy_models()}
        for name in self.tables:
            for store in stores():
                if name.startswith(f"{store.name}_db."):
                    raise TransferError(
                        f"{name} is of the store {store.name}, which is taken as a whole: "
                        f"--file {store.name}."
                    )
        unknown = [("file", name, files) for name in self.files if name not in files]
        unknown += [("table", n, tables) for n in self.tables if n not in full.union(tables)]
        for what, name, known in unknown:
            raise TransferError(
                f"There is no legacy {what} {name!r}: choose from {', '.join(known)}."
            )
        if self.tables and not any(self.wants_file(file.name) for file in legacy_files()):
            raise TransferError(
                f"Nothing is selected: no table {', '.join(self.tables)} is in the file "
                f"{', '.join(self.files)}."
            )

    @property
    def only_stores(self) -> bool:
        """Whether files are named and all of them are stores."""
        names = {store.name for store in stores()}
        return bool(self.files) and set(self.files) <= names

    def wants(self, file: str, table: str) -> bool:
        """Whether the table is selected."""
        names = (table, f"{file}.{table}")
        return (not self.files or file in self.files) and (
            not self.tables or any(name in self.tables for name in names)
        )

    def wants_file(self, file: str) -> bool:
        """Whether any table of the file is selected."""
        return any(self.wants(file, m._meta.db_table) for m in legacy_models(file))


def present_files(selection: Selection, notices: list[str]) -> list[LegacyFile]:
    """The selected files that exist and are not empty.

    Missing and 0-byte files are noted: a feature of the application may be off. Raises NoLegacyFile
    where none is left.
    """
    found = []
    wanted = [file for file in legacy_files() if selection.wants_file(file.name)]
    for file in wanted:
        what = absence(file.path)
        if what is None:
            raise LegacyFileError(
                f"{file.path} cannot be reached: check the permissions of its folder."
            )
        if what:
            is_named = what == GONE and not file.optional
            named = f", though the settings name it ({conf().paths})" if is_named else ""
            notices.append(f"{file.name}: {file.path} {what}{named}, skipped.")
        else:
            found.append(file)
    if not conf().files and not selection.only_stores:
        raise NoLegacyFile(f"The settings name no legacy file: set {conf().paths}.")
    if not wanted and not selection.only_stores:
        raise NoLegacyFile(
            "No model is carried from a legacy file: TRANSFER leaves all of them out (LEAVE_OUT), "
            "or none is of an app that it names (models)."
        )
    if not found and not selection.only_stores:
        folders = ", ".join(sorted({str(file.path.absolute().parent) for file in wanted}))
        # One path may be mistyped; of several files none being there it is the folder.
        which = f" ({wanted[0].path.name} {absence(wanted[0].path)})" if len(wanted) == 1 else ""
        there = [f"--file {store.name}" for store in stores() if store.is_present()]
        alone = f", or name what is there: {', '.join(there)}" if there else ""
        below = f" Files of these names are in {near}." if (near := _below(wanted)) else ""
        raise NoLegacyFile(
            f"No legacy file with tables in {folders}{which}: set where the files are "
            f"({conf().paths}){alone}.{below}"
        )
    return found


def _below(wanted: list[LegacyFile]) -> str:
    """A folder directly below where the files were looked for that has one of them; "" for none."""
    for file in wanted:
        with suppress(OSError):
            for found in sorted(file.path.parent.glob(f"*/{glob.escape(file.path.name)}")):
                return str(found.parent)
    return ""


def files_at_hand(selection: Selection, on_event: OnEvent) -> list[LegacyFile]:
    """The same; what is missing or empty is told as notices. Raises TransferError for a name that
    is unknown."""
    selection.check()
    notices: list[str] = []
    files = present_files(selection, notices)
    for sentence in notices:
        on_event(Event("notice", {"message": sentence}))
    return files
