"""The vector folder as a store of the engine: part of `import_sqlite` and `verify_migration`.

The engine imports this module, as the `legacy` of every app; without the engine nobody does.

What reads a folder is imported where there is one: every command registers the store, and most
have nothing to do with vectors.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connections
from django.db.models import Count

from stillme.postgresql.statements import execute
from stillme.transfer.errors import TransferError
from stillme.transfer.findings import OnEvent
from stillme.transfer.inventory.entries import InventoryLine
from stillme.transfer.inventory.stores import StoreOptions, StoreReport, register
from stillme.transfer.plumbing.scratch import scratch_folder
from stillme.transfer.quarantine.reasons import add_words
from vector.models import Collection, Item
from vector.names import FILE, ledger_name
from vector.serving.indexes import drop_index


class VectorStore:
    """ChromaDB's folder."""

    name = FILE
    setting = "LEGACY_VECTOR_DIR"
    live_refusal = (
        "The vector store is moved by `manage.py import_sqlite --file vector` and proven by "
        "`manage.py verify_migration --file vector`, with its writers stopped; this command cannot "
        "work on it, because a running ChromaDB holds its index in memory."
    )

    def path(self) -> Path:
        """Where it is, by the settings."""
        return Path(settings.LEGACY_VECTOR_DIR)

    @property
    def optional(self) -> bool:
        """Whether it is looked for in the data directory, since no setting names it."""
        return self.path() == Path(settings.LEGACY_DATA_DIR) / "vector_db"

    def is_present(self) -> bool:
        """Whether there is anything with data in it, readable or not."""
        from vector.chroma.inventory import holds_data

        return holds_data(self.path())

    def inventory(self) -> list[InventoryLine]:
        """Everything in the folder that holds data, read in place. Raises LegacyFileError."""
        from vector.chroma.inventory import inventory_now

        return inventory_now(self.path())

    def legacy_html(self, row: Any) -> str | None:
        """An item's or a collection's rows in `chroma.sqlite3`."""
        if not isinstance(row, Collection | Item):
            return None
        from vector.legacy_row import stored_table

        return stored_table(row)

    def target_rows(self, alias: str) -> dict[str, int]:
        """Items of imported collections, by the names of the import; others were made here."""
        imported = Item.objects.using(alias).filter(collection__created_at=None).order_by()
        place = ("collection__tenant", "collection__database", "collection__name")
        counted = imported.values_list(*place).annotate(rows=Count("pk"))
        return {ledger_name(*name): rows for *name, rows in counted}

    def empty(self, alias: str) -> None:
        """Delete items, collections and the index of each, in the caller's transaction."""
        for collection in Collection.objects.using(alias):
            drop_index(collection)
        names = ", ".join(model._meta.db_table for model in (Item, Collection))
        execute(connections[alias], f"TRUNCATE {names} RESTART IDENTITY")

    def digest(self, path: Path) -> str:
        """SHA-256 of the store at `path` as it is now: of a copy, as a proof has it."""
        from vector.chroma.snapshot import copy_store

        with scratch_folder("chroma") as scratch:
            return copy_store(path, scratch / "store").digest()[0]

    def import_store(self, options: StoreOptions, run: Any, on_event: OnEvent) -> StoreReport:
        """Load it."""
        _require_numpy()
        from vector.importing.run import import_vectors

        return import_vectors(self.path(), options, run, on_event)

    def prove_store(self, options: StoreOptions, on_event: OnEvent) -> StoreReport:
        """Compare it with the target."""
        _require_numpy()
        from vector.judge.run import prove_vectors

        return prove_vectors(self.path(), options, on_event)


def _require_numpy() -> None:
    if find_spec("numpy") is None:
        raise TransferError(
            "ChromaDB's vectors are read with numpy, which is not installed: run `pip install "
            "'numpy>=2'`, then the same command again."
        )


register(VectorStore())
REASONS = {
    "bad_metadata": "the metadata cannot be read",
    "bad_pickle": "the index of the vectors cannot be read",
    "bad_segment": "a file of the vectors cannot be read",
    "id_too_long": "the id is too long for an index",
    "no_vector": "the item has no vector",
    "truncated_segment": "a file of the vectors is cut off",
    "unknown_encoding": "the vector has an encoding that nobody knows",
    "vector_without_id": "a vector belongs to no item",
    "wrong_dimension": "the vector has another dimension than its collection",
}
add_words(REASONS)
