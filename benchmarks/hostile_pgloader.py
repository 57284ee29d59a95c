"""The hostile files through pgloader and through import_sqlite, side by side.

    apt-get install pgloader
    python benchmarks/hostile_pgloader.py

Every table of the hostile files (stillme/demo/samples/hostile/files.py) is loaded by pgloader with
its defaults into a database of its own, one table at a time, at most a minute each, and by
`import_sqlite` into the target. Counted: legacy rows, rows that did not arrive and are nowhere to
be found again, and, among text, integer and real cells, values that arrived changed.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "stillme.settings")
SCRATCH = "hostile_pgloader"
LOAD = """LOAD DATABASE FROM sqlite://{path} INTO postgresql://{user}@unix:{host}:{port}/{database}
  WITH include drop, create tables, reset sequences
  INCLUDING ONLY TABLE NAMES LIKE '{table}';
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="stillme-hostile-", dir="/var/tmp") as name:
        os.environ["LEGACY_DATA_DIR"] = name
        import django

        django.setup()
        from django.core.management import call_command

        from stillme.demo.samples import make_hostile

        call_command("migrate", verbosity=0)
        make_hostile(Path(name))
        theirs = [pgloader(Path(name), model) for model in models()]
        report(theirs, ours())


def models() -> list[Any]:
    from stillme.transfer.registry import legacy_models

    return legacy_models()


def server() -> psycopg.ConnectionInfo:
    from django.db import connection

    connection.ensure_connection()
    return connection.connection.info


def pgloader(folder: Path, model: Any) -> dict[str, Any]:
    """Load one table with pgloader; what arrived, and how it ended."""
    info = server()
    table = model._meta.db_table
    with psycopg.connect(info.dsn, dbname="postgres", autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {SCRATCH} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {SCRATCH}")
    path = next(p for p in folder.glob("*.db") if has_table(p, table))
    script = folder / "load.pgloader"
    script.write_text(
        LOAD.format(
            path=path, user=info.user, host=info.host, port=info.port, database=SCRATCH, table=table
        )
    )
    try:
        done = subprocess.run(["pgloader", str(script)], capture_output=True, timeout=60)
        ended = f"exit {done.returncode}"
    except subprocess.TimeoutExpired:
        ended = "hung (60 s)"
    return {"table": table, "ended": ended, **compare(info, path, model)}


def has_table(path: Path, table: str) -> bool:
    with closing(sqlite3.connect(path)) as legacy:
        query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        return legacy.execute(query, (table,)).fetchone() is not None


def compare(info: psycopg.ConnectionInfo, path: Path, model: Any) -> dict[str, int]:
    """Rows that are missing and plain cells that changed, keyed by rowid's column."""
    table, key = model._meta.db_table, str(model._meta.pk.column)
    from stillme.transfer.kinds import Integer, Real, Text

    names = [str(c.column) for c in model.columns() if isinstance(c.kind, Text | Integer | Real)]
    with closing(sqlite3.connect(path)) as legacy:
        legacy.text_factory = bytes
        listed = ", ".join([key, *names])
        rows = legacy.execute(f"SELECT {listed} FROM {table}").fetchall()
    with psycopg.connect(info.dsn, dbname=SCRATCH) as target:
        arrived = read_target(target, table, key, names)
    missing = changed = 0
    for row in rows:
        found = arrived.get(as_text(row[0]))
        if found is None:
            missing += 1
        else:
            changed += sum(differs(a, b) for a, b in zip(row[1:], found, strict=True))
    return {"rows": len(rows), "lost": missing, "changed": changed}


def read_target(target: Any, table: str, key: str, names: list[str]) -> dict[str, tuple[Any, ...]]:
    listed = ", ".join([key, *names])
    try:
        rows = target.execute(f"SELECT {listed} FROM {table}").fetchall()
    except psycopg.Error:
        return {}
    return {as_text(row[0]): row[1:] for row in rows}


def as_text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def differs(legacy: Any, target: Any) -> bool:
    if isinstance(legacy, bytes):
        return bool(legacy != str(target).encode())
    if isinstance(legacy, float):
        return not isinstance(target, float) or legacy.hex() != target.hex()
    return bool(legacy != target)


def ours() -> dict[str, dict[str, Any]]:
    from stillme.transfer.steps.load import ImportOptions, import_files
    from stillme.transfer.verify.verification import VerifyOptions, verify

    # Whatever an earlier benchmark left in the target goes.
    result = import_files(ImportOptions(prune=True, overwrite=True, moved=True))
    proof = {table.table: table for table in verify(VerifyOptions()).tables}
    return {
        table.table: {
            "lost": table.outcome.legacy_rows
            - table.outcome.loaded
            - table.outcome.repaired
            - table.outcome.quarantined,
            "kept": table.outcome.quarantined,
            "findings": proof[table.table].findings.total,
        }
        for table in result.tables
    }


def report(theirs: list[dict[str, Any]], mine: dict[str, dict[str, Any]]) -> None:
    version = subprocess.run(["pgloader", "--version"], capture_output=True, text=True)
    print(f"{version.stdout.splitlines()[0]}\n")
    print("| table | rows | pgloader | lost | changed | here: lost | changed | set aside |")
    print("|---|---|---|---|---|---|---|---|")
    for line in theirs:
        here = mine[line["table"]]
        print(
            f"| {line['table']} | {line['rows']} | {line['ended']} | {line['lost']} | "
            f"{line['changed']} | {here['lost']} | {here['findings']} | {here['kept']} |"
        )


if __name__ == "__main__":
    main()
