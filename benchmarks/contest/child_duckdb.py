"""Loads one legacy file with DuckDB; a process of its own, started by benchmarks/compare.py.

The extensions come from PyPI beside duckdb itself; nothing is downloaded while it runs. Columns
that DuckDB cannot read by their declared type (a timestamp with other text in it) stop it, as they
would stop anybody who uses it this way.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import duckdb

from benchmarks.contest.server import COLUMNS, RELATION


def main() -> None:
    path, dsn = sys.argv[1:]
    connection = duckdb.connect()
    for name in ("sqlite_scanner", "postgres_scanner"):
        connection.execute(f"LOAD '{extension(name)}'")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"ATTACH '{path}' AS legacy (TYPE sqlite, READ_ONLY)")
    connection.execute(f"ATTACH '{dsn}' AS target (TYPE postgres)")
    connection.execute(
        f"INSERT INTO target.{RELATION} ({COLUMNS}) SELECT {COLUMNS} FROM legacy.knowledge_items"
    )


def extension(name: str) -> Path:
    """The extension's file inside its package."""
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec is None or spec.origin is None:
        raise SystemExit(f"duckdb_extension_{name} is not installed.")
    return next(Path(spec.origin).parent.glob(f"extensions/*/{name}.duckdb_extension"))


if __name__ == "__main__":
    main()
