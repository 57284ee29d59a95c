"""Stores of another kind than the mapped SQLite files: a domain registers how its own is moved.

A store (the vector folder, say) takes part in `import_sqlite` and `verify_migration`. It has no
mapping, no chunks and no capture; what it does it says in the words of the engine: tables with an
`Outcome`, tables with a proof. The types here name nothing of loader or judge, which do not see
each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from stillme.transfer.errors import NoLegacyFile
from stillme.transfer.findings import Finding, OnEvent
from stillme.transfer.inventory.deletions import Confirm, always
from stillme.transfer.inventory.entries import InventoryLine


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How a store is imported or verified; the words are those of the commands.

    `approve` is asked before `prune` deletes anything; in a dry run it notes and says no.
    """

    database: str = "default"
    dry_run: bool = False
    prune: bool = False
    overwrite: bool = False
    moved: bool = False
    approve: Confirm = always
    level: str = "full"
    sample: int = 3000
    jobs: int = 0


@dataclass(slots=True)
class StoreReport:
    """What came of it: table results or proofs, findings about no table, notices, figures."""

    tables: list[Any] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    inventory: list[InventoryLine] = field(default_factory=list)


class Store(Protocol):
    """What a domain brings."""

    name: str
    setting: str
    live_refusal: str

    def path(self) -> Path:
        """Where it is, by the settings."""

    @property
    def optional(self) -> bool:
        """Whether no setting names it, so that it may be absent."""

    def is_present(self) -> bool:
        """Whether there is anything to move.

        True also for a folder that holds something nobody can read: `inventory` names it.
        """

    def inventory(self) -> list[InventoryLine]:
        """Everything there that holds data, carried or open; decisions are not looked up here.

        Raises TransferError where it cannot be read.
        """

    def legacy_html(self, row: Any) -> str | None:
        """How the store holds a target row, as HTML for its page; None for rows of other apps."""

    def target_rows(self, alias: str) -> dict[str, int]:
        """Rows that the target holds of it, by table as its import names them."""

    def empty(self, alias: str) -> None:
        """Delete everything that imports of it made, in the caller's transaction."""

    def digest(self, path: Path) -> str:
        """SHA-256 of a store at `path`, as the proof's `files` give it. Raises LegacyFileError."""

    def import_store(self, options: StoreOptions, run: Any, on_event: OnEvent) -> StoreReport:
        """Load it, inside `run` (None for a dry run); tables as the import's own."""

    def prove_store(self, options: StoreOptions, on_event: OnEvent) -> StoreReport:
        """Compare it with the target; tables as the judge's own proofs."""


_stores: dict[str, Store] = {}


def register(store: Store) -> None:
    """Make a store known; a second one of the same name takes its place."""
    _stores[store.name] = store


def stores() -> list[Store]:
    """Every store, by name."""
    return [_stores[name] for name in sorted(_stores)]


def wanted_stores(files: Sequence[str], tables: Sequence[str], notices: list[str]) -> list[Store]:
    """The stores that a selection asks for and that are there; missing ones are noted.

    A selection of tables asks for none: a store's tables are not known before it is read. Raises
    NoLegacyFile where nothing but stores is asked for and none is there.
    """
    chosen = [s for s in stores() if not tables and (not files or s.name in files)]
    for store in chosen:
        if not store.is_present():
            notices.append(f"{store.name}: {store.path()} does not exist, skipped.")
    present = [store for store in chosen if store.is_present()]
    if chosen and not present and set(files) == {store.name for store in chosen}:
        raise NoLegacyFile(f"There is nothing in {chosen[0].path()}: set {chosen[0].setting}.")
    return present
