"""The demo as one function: every step is the library call that the command of that name makes."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connections
from rich.console import Console

from stillme.demo.samples import make_samples
from stillme.transfer.errors import TransferError
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.postgresql.locks import exclusive
from stillme.transfer.quarantine import decisions
from stillme.transfer.registry import legacy_files, legacy_models
from stillme.transfer.reports.terminal.imports import render_import
from stillme.transfer.reports.terminal.proof import render_verify
from stillme.transfer.steps.load import ImportOptions, import_files
from stillme.transfer.verify.result import VerifyResult
from stillme.transfer.verify.verification import VerifyOptions, verify
from stillme.visible import counted

MARKER = ".made-by-demo"
TABLE, COLUMN = '"rss"."fetch_items"', "item_title"


def tell(console: Console, *, rows: int, seed: int) -> int:
    """Tell the story; returns the exit status. Raises TransferError where it could do harm."""
    directory = settings.LEGACY_DATA_DIR
    first_time = prepare_folder(directory)
    console.rule("1. an empty PostgreSQL, migrated")
    call_command("migrate", verbosity=0, interactive=False)
    if first_time:
        refuse_filled_target()
    console.print("manage.py migrate: a schema per domain, eleven tables.")
    console.rule("2. sample legacy files")
    summary = make_samples(directory, rows=rows, seed=seed)
    (directory / MARKER).write_text("These files are samples made by `manage.py demo`.\n")
    console.print(f"{summary.total:,} rows in four SQLite files in {directory}", soft_wrap=True)
    console.rule("3. manage.py import_sqlite")
    # Whatever an earlier demo loaded.
    wanted = ImportOptions(prune=True, overwrite=True, moved=True, replaced=True)
    render_import(console, "text", import_files(wanted))
    console.rule("4. manage.py quarantine: decide about the rows that cannot be loaded")
    accept_what_cannot_be_loaded(console)
    console.rule("5. manage.py verify_migration")
    if verified(console).exit_status:
        return 1
    console.rule("6. one cell changed by hand in PostgreSQL, and verified again")
    key, before = change_one_cell()
    found = verified(console, "rss_fetch_items").exit_status != 0
    restore_cell(key, before)
    console.rule("7. the cell restored, and everything verified again")
    whole = verified(console)
    if whole.exit_status or not found:
        return 1
    say_how_to_go_on(console)
    say_the_good_news(console, whole)
    return 0


def prepare_folder(directory: Path) -> bool:
    """Clear what an earlier demo made; refuse files of somebody else. True on the first demo."""
    present = [file.path for file in legacy_files() if file.path.exists()]
    if (directory / MARKER).exists():
        for path in present:
            for part in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
                part.unlink(missing_ok=True)
        return False
    if present:
        raise TransferError(
            f"{present[0]} is there already and was not made by the demo: set LEGACY_DATA_DIR to "
            "an empty folder for the demo, or run `manage.py import_sqlite` for your own files."
        )
    directory.mkdir(parents=True, exist_ok=True)
    return True


def refuse_filled_target() -> None:
    """Raise TransferError where the target holds rows: sample rows do not belong beside them."""
    with connections["default"].cursor() as cursor:
        for model in legacy_models():
            relation = model.target_model()._meta.db_table
            cursor.execute(f"SELECT EXISTS (SELECT 1 FROM {relation})")
            if cursor.fetchone()[0]:
                raise TransferError(
                    f"The target's {relation} holds rows already: point DATABASE_URL to an empty "
                    "database for the demo."
                )


def accept_what_cannot_be_loaded(console: Console) -> None:
    """Show why rows were set aside, and accept them as an operator would."""
    rows = decisions.select_rows("default")
    for line in decisions.summary("default"):
        console.print(f"{line['table']}: {line['rows']} rows, {line['reason']} ({line['status']})")
    if rows:
        with exclusive("default"):
            decisions.accept("default", rows, "samples of what cannot be loaded", "demo")
        console.print(
            f"{counted(len(rows), 'row')} looked at and accepted: they stay out, explained."
        )


def verified(console: Console, *tables: str) -> VerifyResult:
    """Verify (all tables, or these) and show the result."""
    result = verify(VerifyOptions(selection=Selection(tables=tables)))
    render_verify(console, "text", result, 5)
    return result


def change_one_cell() -> tuple[int, str]:
    """Put a space at the end of one title; returns its key and the title as it was."""
    with connections["default"].cursor() as cursor:
        cursor.execute(f"SELECT id, {COLUMN} FROM {TABLE} ORDER BY id OFFSET 16 LIMIT 1")
        row = cursor.fetchone()
        if row is None:
            cursor.execute(f"SELECT id, {COLUMN} FROM {TABLE} ORDER BY id LIMIT 1")
            row = cursor.fetchone()
        cursor.execute(f"UPDATE {TABLE} SET {COLUMN} = {COLUMN} || ' ' WHERE id = %s", [row[0]])
    return row[0], row[1]


def restore_cell(key: int, before: str) -> None:
    """Take the planted corruption back."""
    with connections["default"].cursor() as cursor:
        cursor.execute(f"UPDATE {TABLE} SET {COLUMN} = %s WHERE id = %s", [before, key])


def say_how_to_go_on(console: Console) -> None:
    """The next commands of a new user."""
    console.rule("what next")
    console.print(
        "Look at the rows in the admin:\n"
        "  .venv/bin/python manage.py createsuperuser\n"
        "  .venv/bin/python manage.py runserver\n"
        "  then open http://127.0.0.1:8000/admin/\n"
        "Your own files: set LEGACY_DATA_DIR to their folder (see .env.example), then\n"
        "  .venv/bin/python manage.py empty_target     # the samples go; it asks first\n"
        "  .venv/bin/python manage.py import_sqlite",
        markup=False,
        highlight=False,
    )


def say_the_good_news(console: Console, whole: VerifyResult) -> None:
    """The last line: what became of all rows, in the words of a newcomer."""
    loaded = sum(table.target_rows for table in whole.tables)
    kept = sum(table.accepted for table in whole.tables)
    console.rule("in short")
    console.print(
        f"PROVEN: {loaded:,} rows are in PostgreSQL, equal value for value; {kept:,} could not be "
        "loaded and are kept, each with its reason.",
        soft_wrap=True,
    )
