"""What `inspect_sqlite` found, as data: files, tables, stores, what is to be decided first."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stillme.transfer.inventory.entries import InventoryLine, open_lines
from stillme.transfer.records.outcome import Outcome
from stillme.transfer.sqlite.clock.file_clock import Clock
from stillme.transfer.sqlite.copying.plain_files import OtherFile
from stillme.transfer.sqlite.schema.drift import Drift
from stillme.transfer.steps.loading.predict import Prediction
from stillme.transfer.steps.loading.predict import as_dict as prediction_as_dict


@dataclass(slots=True)
class TableInspection:
    """One table of one file."""

    table: str
    target: str
    prediction: Prediction
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        head = {"table": self.table, "target": self.target, "seconds": round(self.seconds, 3)}
        return head | prediction_as_dict(self.prediction)


@dataclass(slots=True)
class FileInspection:
    """One legacy file. `state` is ``present``, ``missing`` or ``empty`` (0 bytes).

    `zones` are the time zones that fit all that its rows show of the local clock.
    """

    file: str
    path: Path
    state: str
    size: int = 0
    journal_mode: str = ""
    user_version: int = 0
    clock: Clock | None = None
    open_clock: str = ""
    zones: list[str] = field(default_factory=list)
    drift: list[Drift] = field(default_factory=list)
    tables: list[TableInspection] = field(default_factory=list)
    inventory: list[InventoryLine] = field(default_factory=list)
    notices: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "file": self.file,
            "path": str(self.path),
            "state": self.state,
            "size": self.size,
            "journal_mode": self.journal_mode,
            "user_version": self.user_version,
            "clock": self.clock.as_dict() if self.clock else None,
            "zones_that_fit": self.zones,
            "open_question": self.open_clock or None,
            "drift": self.drift,
            "tables": [table.as_dict() for table in self.tables],
            "inventory": self.inventory,
            "notices": list(self.notices),
        }


@dataclass(slots=True)
class StoreInspection:
    """What an import would make of one table of a store (the vector folder)."""

    store: str
    table: str
    target: str
    outcome: Outcome

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        outcome = self.outcome
        return {
            "store": self.store,
            "table": self.table,
            "target": self.target,
            "rows": outcome.legacy_rows,
            "loaded": outcome.loaded,
            "repaired": outcome.repaired,
            "quarantined": outcome.quarantined,
            "reasons": outcome.reasons,
        }


@dataclass(slots=True)
class Inspection:
    """All selected files and stores, and the other SQLite files in their folder.

    `notices` are a store's own words, `unreadable` sentences on stores that cannot be read.
    """

    files: list[FileInspection] = field(default_factory=list)
    stores: list[StoreInspection] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    others: list[OtherFile] = field(default_factory=list)
    order: list[list[str]] = field(default_factory=list)
    inventory: list[InventoryLine] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def tables(self) -> list[TableInspection]:
        """Every table of every file."""
        return [table for file in self.files for table in file.tables]

    @property
    def quarantined(self) -> int:
        """Rows that an import will set aside."""
        found = sum(table.prediction.quarantined for table in self.tables)
        return found + sum(table.outcome.quarantined for table in self.stores)

    @property
    def open_questions(self) -> list[str]:
        """What the operator should decide first."""
        clocks = [f"{file.file}: {file.open_clock}" for file in self.files if file.open_clock]
        return clocks + self.unreadable + [line.sentence for line in self.undecided]

    @property
    def undecided(self) -> list[InventoryLine]:
        """What holds data and is not carried. Whether somebody left it on purpose only the ledger
        knows, which is not asked here."""
        lines = [line for file in self.files for line in file.inventory]
        return open_lines(lines + self.inventory)

    @property
    def clean(self) -> bool:
        """Whether everything will load or be repaired, and nothing is to be decided."""
        return not self.quarantined and not self.open_questions

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "clean": self.clean,
            "seconds": round(self.seconds, 3),
            "load_order": self.order,
            "open_questions": self.open_questions,
            "notices": self.notices,
            "files": [file.as_dict() for file in self.files],
            "stores": [table.as_dict() for table in self.stores],
            "store_inventory": self.inventory,
            "other_files": self.others,
        }
