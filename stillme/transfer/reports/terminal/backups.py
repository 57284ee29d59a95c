"""Backups on a terminal."""

from __future__ import annotations

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stillme.transfer.reports.json_text import print_json
from stillme.transfer.sqlite.copying.backup_manifest import FileEntry, Manifest
from stillme.transfer.steps.restore_backup import Restored

_WIDTH = 80


def _print(console: Console, text: str) -> None:
    console.print(text, width=min(console.width, _WIDTH))


def render_backup(console: Console, manifest: Manifest, directory: Path, form: str) -> None:
    """What was copied."""
    if form == "json":
        data = {"directory": str(directory), "sound": manifest.sound, **manifest.as_dict()}
        print_json(console, data)
        return
    console.print(_table(manifest), width=min(console.width, _WIDTH))
    for folder in manifest.folders:
        _print(console, f"{folder.name}: {len(folder.files)} files copied")
    for name in manifest.absent:
        _print(console, f"[yellow]note[/] {name} is not there")
    for entry in manifest.files:
        _explain(console, entry)
    if manifest.frozen:
        _print(console, f"[yellow]frozen[/] {escape(_refusing(manifest.frozen, directory))}")
    _print(console, _verdict(manifest, directory))


def _refusing(names: list[str], directory: Path) -> str:
    """What it means that copies hold the freeze of a cut-over, and how to be rid of it."""
    return (
        f"{', '.join(names)}: copied after the cut-over, so the copies refuse writes like the "
        "files, and lack what PostgreSQL received since. To let the old application write, run "
        "manage.py rollback_migration (it carries those rows back), or, if the files are lost, "
        f"manage.py rollback_migration --to-backup {directory}"
    )


def _table(manifest: Manifest) -> Table:
    table = Table(title="Backup", title_justify="left", box=SIMPLE_HEAD, show_edge=False)
    table.add_column("file", overflow="fold", min_width=22)
    for name in ("bytes", "pages", "rows"):
        table.add_column(name, justify="right")
    for name in ("journal", "integrity"):
        table.add_column(name)
    for entry in manifest.files:
        rows = sum(count or 0 for count in entry.rows.values())
        table.add_row(
            entry.name,
            f"{entry.size:,}",
            f"{entry.pages:,}",
            f"{rows:,}",
            entry.journal_mode,
            "ok" if entry.sound else "[red]damaged[/]",
        )
    return table


def _explain(console: Console, entry: FileEntry) -> None:
    for table, rows in entry.foreign_keys.items():
        text = f"[yellow]note[/] {entry.name}: {rows:,} references of {table} to missing rows"
        _print(console, text)
    if entry.unchecked:
        text = f"{entry.name}: indexes by {entry.unchecked} were not compared with their tables:"
        _print(console, escape(f"note {text} only the program that wrote the file has that."))
    if entry.sound:
        return
    _print(console, escape(f"{entry.name}: {entry.integrity[0]}"))
    for found in entry.readable:
        ranges = found["ranges"]
        listed = ", ".join(f"{low} to {high}" for low, high in ranges[:8])
        more = f" and {len(ranges) - 8} more ranges" if len(ranges) > 8 else ""
        where = f": rowids {listed}{more}" if ranges else ""
        state = f"damaged ({found['error']})" if found["error"] else "all of it"
        text = f"   {found['table']}: {found['rows']:,} rows can be read, {state}{where}"
        _print(console, escape(text))


def _verdict(manifest: Manifest, directory: Path) -> str:
    if manifest.sound:
        return escape(
            f"Complete and checked: {directory}. Next: `manage.py backup_sqlite --check "
            f"{directory}`, whenever in doubt."
        )
    return escape(
        f"Copied to {directory}, but a file is damaged: what can be read is listed above. Restore "
        "an older backup, or repair a copy of it with SQLite's `.recover`."
    )


def render_check(console: Console, problems: list[str], directory: Path, form: str) -> None:
    """Whether a backup is what its manifest says."""
    if form == "json":
        data = {"directory": str(directory), "sound": not problems, "problems": problems}
        print_json(console, data)
        return
    for problem in problems:
        _print(console, f"[red]differs[/] {escape(problem)}")
    if not problems:
        _print(console, escape(f"{directory} is what its manifest says, and sound."))


def render_restore(console: Console, restored: Restored, directory: Path, form: str) -> None:
    """What was restored."""
    before = str(restored.before) if restored.before else None
    if form == "json":
        data = {
            "to": str(restored.data_directory),
            "restored": restored.names,
            "frozen": restored.frozen,
            "before": before,
        }
        print_json(console, data)
        return
    listed = ", ".join(restored.names)
    _print(console, escape(f"Restored to {restored.data_directory}: {listed}."))
    if restored.frozen:
        _print(console, f"[yellow]frozen[/] {escape(_refusing(restored.frozen, directory))}")
    if before:
        _print(console, escape(f"What was there before is in {before}."))
