"""What the loader's tests share."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from django.db import connections

from stillme.postgresql.statements import execute
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.legacy import LegacyModel
from stillme.transfer.registry import legacy_models
from stillme.transfer.steps.load import ImportOptions, ImportResult, import_files
from tests.made_once import FILES as FILES


def run_import(**options: Any) -> ImportResult:
    """Import with one job, small chunks."""
    selection = options.pop("selection", Selection())
    options = {"jobs": 1, "chunk_rows": 50, **options}
    return import_files(ImportOptions(selection=selection, **options))


def model_of(table: str) -> type[LegacyModel]:
    """The one legacy model of that table."""
    return next(model for model in legacy_models() if model._meta.db_table == table)


def change(directory: Path, file: str, *statements: str) -> None:
    """Run SQL on a legacy file, as its owner would."""
    with closing(sqlite3.connect(directory / FILES[file])) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def query(sql: str, *params: Any) -> list[tuple[Any, ...]]:
    """Rows from the target."""
    with connections["default"].cursor() as cursor:
        cursor.execute(sql, list(params) or None)
        return list(cursor.fetchall()) if cursor.description else []


def wait_until(holds: Callable[[], Any], what: str) -> None:
    """Look until it holds. So long only a command that hangs takes, however busy the machine."""
    deadline = time.monotonic() + 300
    while not holds():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.01)


@contextmanager
def blocked(key: int) -> Iterator[None]:
    """Whoever loads the knowledge item with this key waits until the block ends."""
    other = connections["default"].copy()
    try:
        other.set_autocommit(False)
        execute(
            other,
            "INSERT INTO knowledge.knowledge_items (id, content, source, knowledge_type) "
            f"VALUES ({key}, 'in the way', 'test', 'knowledge')",
        )
        yield
    finally:
        other.rollback()
        other.close()


def content() -> dict[str, list[str]]:
    """Every target row, quarantined row and kept cell as text: what two runs must agree on."""
    found = {}
    for model in legacy_models():
        relation = model.target_model()._meta.db_table
        found[relation] = [row[0] for row in query(f"SELECT t::text FROM {relation} t ORDER BY 1")]
    found["quarantine"] = [
        str(row)
        for row in query(
            'SELECT "table", key, cells::text, reason, "column", status '
            "FROM transfer.quarantined_row ORDER BY 1, 2, 3"
        )
    ]
    found["kept"] = [
        str(row)
        for row in query(
            'SELECT "table", key, "column", storage, encode(value, \'hex\'), reason '
            "FROM transfer.kept_cell ORDER BY 1, 2, 3"
        )
    ]
    return found


def schema() -> list[tuple[Any, ...]]:
    """Constraints and indexes of the domain schemas: the same before and after any run."""
    wanted = "('knowledge', 'continuum', 'rss', 'accuracy')"
    return query(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated "
        f"FROM pg_constraint WHERE connamespace::regnamespace::text IN {wanted} "
        "UNION ALL SELECT indrelid::regclass::text, indexrelid::regclass::text, "
        "pg_get_indexdef(indexrelid), indisvalid FROM pg_index "
        "JOIN pg_class c ON c.oid = indrelid "
        f"WHERE relnamespace::regnamespace::text IN {wanted} ORDER BY 1, 2"
    )
