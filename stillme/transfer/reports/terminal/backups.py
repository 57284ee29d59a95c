"""Backups on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.text import Text

from stillme.transfer.reports.json_text import or_json
from stillme.transfer.reports.terminal.tables import marked, print_rows, tell
from stillme.transfer.sqlite.copying.backup_check import Readable
from stillme.transfer.sqlite.copying.backup_manifest import FileEntry, Manifest
from stillme.transfer.steps.restore_backup import Restored
from stillme.visible import counted

_MOST_RANGES = 8


@or_json(
    lambda manifest, directory: {
        "directory": directory,
        "sound": manifest.sound,
        **asdict(manifest),
    }
)
def render_backup(console: Console, manifest: Manifest, directory: Path) -> None:
    """What was copied."""
    figures = ("bytes", "pages", "rows")
    rows = map(_row, manifest.files)
    print_rows(console, "Backup", ("file",), figures, rows, last=("journal", "integrity"))
    for folder in manifest.folders:
        tell(console, f"{folder.name}: {counted(len(folder.files), 'file')} copied")
    for name in manifest.absent:
        tell(console, f"{name} is not there", "note")
    for entry in manifest.files:
        _explain(console, entry)
    _say_frozen(console, manifest.frozen, directory)
    tell(console, _verdict(manifest, directory))


def _row(entry: FileEntry) -> Sequence[str | int | Text]:
    rows = sum(count or 0 for count in entry.rows.values())
    sound = "ok" if entry.sound else marked("red", "damaged")
    return entry.name, entry.size, entry.pages, rows, entry.journal_mode, sound


def _say_frozen(console: Console, names: list[str], directory: Path) -> None:
    """What it means that copies hold the freeze of a cut-over, and how to be rid of it."""
    if names:
        tell(
            console,
            f"{', '.join(names)}: copied after the cut-over, so the copies refuse writes like the "
            "files, and lack what PostgreSQL received since. To let the old application write, "
            "run manage.py rollback_migration (it carries those rows back), or, if the files are "
            f"lost, manage.py rollback_migration --to-backup {directory}",
            "frozen",
        )


def _explain(console: Console, entry: FileEntry) -> None:
    for table, rows in entry.foreign_keys.items():
        text = f"{entry.name}: {counted(rows, 'reference')} of {table} to missing rows"
        tell(console, text, "note")
    if entry.unchecked:
        text = f"{entry.name}: indexes by {entry.unchecked} were not compared with their tables:"
        tell(console, f"note {text} only the program that wrote the file has that.")
    if entry.sound:
        return
    tell(console, f"{entry.name}: {entry.integrity[0]}")
    for found in entry.readable:
        tell(console, _readable(found))


def _readable(found: Readable) -> str:
    ranges = found.ranges
    listed = ", ".join(f"{low} to {high}" for low, high in ranges[:_MOST_RANGES])
    left = len(ranges) - _MOST_RANGES
    more = f" and {counted(left, 'more range')}" if left > 0 else ""
    where = f": rowids {listed}{more}" if ranges else ""
    state = f"damaged ({found.error})" if found.error else "all of it"
    return f"   {found.table}: {counted(found.rows, 'row')} can be read, {state}{where}"


def _verdict(manifest: Manifest, directory: Path) -> str:
    if manifest.sound:
        return (
            f"Complete and checked: {directory}. Next: `manage.py backup_sqlite --check "
            f"{directory}`, whenever in doubt."
        )
    return (
        f"Copied to {directory}, but a file is damaged: what can be read is listed above. Restore "
        "an older backup, or repair a copy of it with SQLite's `.recover`."
    )


@or_json(
    lambda problems, directory: {
        "directory": directory,
        "sound": not problems,
        "problems": problems,
    }
)
def render_check(console: Console, problems: list[str], directory: Path) -> None:
    """Whether a backup is what its manifest says."""
    for problem in problems:
        tell(console, problem, "differs", "red")
    if not problems:
        tell(console, f"{directory} is what its manifest says, and sound.")


@or_json(
    lambda restored, directory: {
        "to": restored.data_directory,
        "restored": restored.names,
        "frozen": restored.frozen,
        "before": restored.before or None,
    }
)
def render_restore(console: Console, restored: Restored, directory: Path) -> None:
    """What was restored."""
    tell(console, f"Restored to {restored.data_directory}: {', '.join(restored.names)}.")
    _say_frozen(console, restored.frozen, directory)
    if restored.before:
        tell(console, f"What was there before is in {restored.before}.")
