"""Makes a folder of legacy files, small and always the same for the same arguments."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from stillme.demo.samples import schema
from stillme.demo.samples.clock import SPAN, START, Ticks, utc_seconds
from stillme.demo.samples.rows import accuracy_rows, continuum_rows, knowledge_rows, rss_rows
from stillme.demo.samples.rows.texts import Dice

VARIANTS = ("clean", "current", "old", "wal", "disabled")
TAIL = 3
"""Rows inserted and deleted again at the end of a table: sqlite_sequence stays above max(id)."""


@dataclass(frozen=True)
class SampleSummary:
    """What was made: the path of each file, and how many rows each table has."""

    directory: Path
    variant: str
    paths: dict[str, Path] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Rows in all tables together."""
        return sum(self.rows.values())


@dataclass(frozen=True)
class Recipe:
    """The arguments of `make_samples`, and what follows from them."""

    rows: int
    seed: int
    variant: str
    offset_minutes: int

    @property
    def first(self) -> bool:
        """Whether the files have the schema of the application's first days."""
        return self.variant == "old"

    def dice(self, table: str) -> Dice:
        """Chance for one table, independent of the other tables."""
        return Dice(
            self.seed,
            table,
            offset_minutes=self.offset_minutes,
            pathologies=self.variant != "clean",
        )


def make_samples(
    directory: Path,
    *,
    rows: int = 300,
    seed: int = 7,
    variant: str = "current",
    local_offset_minutes: int = 420,
    files: Iterable[str] | None = None,
) -> SampleSummary:
    """Write the legacy files of one variant; from 40 rows on every status and transition occurs.

    `clean` holds nothing that PostgreSQL would refuse as a value, `current` what the application's
    own code really leaves behind, `old` the first schema, `wal` committed RSS rows that are only in
    the write-ahead log, `disabled` a continuum file of 0 bytes.
    """
    if variant not in VARIANTS:
        raise ValueError(f"There is no variant {variant!r}; choose one of {', '.join(VARIANTS)}.")
    if rows < 1:
        raise ValueError("A sample needs at least one row per table.")
    recipe = Recipe(rows, seed, variant, local_offset_minutes)
    summary = SampleSummary(directory, variant)
    directory.mkdir(parents=True, exist_ok=True)
    for name in chosen_files(files):
        path = directory / name
        if path.exists():
            raise FileExistsError(f"{path} exists already; choose an empty folder for the samples.")
        _make_file(name, path, recipe)
        summary.paths[name] = path
        summary.rows.update(count_rows(path))
    return summary


def chosen_files(files: Iterable[str] | None) -> list[str]:
    """File names, given with or without `.db`; all four when none is given."""
    if files is None:
        return list(schema.FILES)
    names = [name if name.endswith(".db") else f"{name}.db" for name in files]
    unknown = sorted(set(names) - set(schema.FILES))
    if unknown:
        raise ValueError(f"{unknown[0]} is not a legacy file; they are {', '.join(schema.FILES)}.")
    return names


def count_rows(path: Path) -> dict[str, int]:
    """Rows per declared table. The file is read as a copy would be: its write-ahead log stays."""
    if path.stat().st_size == 0:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        copy = _copy_with_log(path, Path(folder))
        with closing(sqlite3.connect(copy)) as connection:
            return {
                table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in schema.TABLES[path.name]
            }


def _copy_with_log(path: Path, folder: Path) -> Path:
    """Copy a file together with its write-ahead log, if it has one."""
    for suffix in ("", "-wal"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            shutil.copyfile(part, folder / part.name)
    return folder / path.name


def _make_file(name: str, path: Path, recipe: Recipe) -> None:
    if recipe.variant == "disabled" and name == schema.CONTINUUM:
        path.touch()  # what the health endpoint leaves of a file that was never made
        return
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        schema.create(connection, name, first=recipe.first)
        connection.execute("BEGIN")
        FILLERS[name](connection, recipe)
        connection.execute("COMMIT")
    if recipe.variant == "wal" and name == schema.RSS:
        _leave_rows_in_log(path, recipe)


def _fill(
    connection: sqlite3.Connection,
    table: str,
    names: tuple[str, ...],
    rows: Iterable[tuple[Any, ...]],
) -> None:
    connection.executemany(schema.insert_sql(table, names), rows)


def _leave_gap(connection: sqlite3.Connection, table: str) -> None:
    """Ids given out and deleted: the next row of this table must not get them again."""
    connection.execute(
        f"DELETE FROM {table} WHERE id > (SELECT max(id) FROM {table}) - ?",
        (TAIL,),
    )


def _fill_knowledge(connection: sqlite3.Connection, recipe: Recipe) -> None:
    module = knowledge_rows
    items = module.knowledge_items(recipe.rows, recipe.dice("knowledge_items"))
    _fill(connection, "knowledge_items", module.ITEM_COLUMNS, _then_tail(items))
    last = connection.execute("SELECT max(id) FROM knowledge_items").fetchone()[0]
    cleanup = utc_seconds(START + SPAN * 0.55)
    connection.execute(
        "DELETE FROM knowledge_items WHERE created_at < ? AND retention_score < 0.3", (cleanup,)
    )
    _leave_gap(connection, "knowledge_items")
    sessions = module.learning_sessions(recipe.rows, recipe.seed, recipe.dice("learning_sessions"))
    _fill(connection, "learning_sessions", module.SESSION_COLUMNS, sessions)
    pairs = module.relationships(recipe.rows, last, recipe.dice("knowledge_relationships"))
    _fill(connection, "knowledge_relationships", module.RELATIONSHIP_COLUMNS, pairs)


def _then_tail(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """The rows, then the last one again, to be deleted by `_leave_gap`."""
    row: tuple[Any, ...] = ()
    for row in rows:
        yield row
    for _ in range(TAIL):
        yield row


def _fill_accuracy(connection: sqlite3.Connection, recipe: Recipe) -> None:
    module = accuracy_rows
    scores = module.accuracy_scores(recipe.rows, recipe.seed, recipe.dice("accuracy_scores"))
    _fill(connection, "accuracy_scores", module.SCORE_COLUMNS, _then_tail(scores))
    _leave_gap(connection, "accuracy_scores")
    trends = module.performance_trends(recipe.rows, recipe.dice("performance_trends"))
    _fill(connection, "performance_trends", module.TREND_COLUMNS, trends)
    goals = module.learning_objectives(max(recipe.rows // 3, 1), recipe.dice("learning_objectives"))
    _fill(connection, "learning_objectives", module.OBJECTIVE_COLUMNS, goals)


def _fill_continuum(connection: sqlite3.Connection, recipe: Recipe) -> None:
    module = continuum_rows
    both = module.tiers(recipe.rows, recipe.dice("tier_metrics"))
    names: tuple[str, ...] = module.METRIC_COLUMNS
    metrics = both.metrics
    if recipe.first:  # last_update_cycle, the last name, did not exist yet
        names, metrics = names[:-1], [row[:-1] for row in metrics]
    _fill(connection, "tier_metrics", names, metrics)
    _fill(connection, "tier_audit", module.AUDIT_COLUMNS, both.audit)
    evaluations = module.forgetting_metrics(recipe.rows, recipe.dice("forgetting_metrics"))
    _fill(connection, "forgetting_metrics", module.FORGETTING_COLUMNS, evaluations)


def _fill_rss(connection: sqlite3.Connection, recipe: Recipe) -> None:
    module = rss_rows
    made = module.history(recipe.rows, recipe.dice("rss"), zero_counters=recipe.first)
    _fill(connection, "rss_fetch_cycles", module.CYCLE_COLUMNS, made.cycles)
    _fill(connection, "rss_fetch_items", module.ITEM_COLUMNS, _then_tail(made.items))
    _leave_gap(connection, "rss_fetch_items")


def _leave_rows_in_log(path: Path, recipe: Recipe) -> None:
    """Commit one more cycle and leave the files as a killed process does: rows only in -wal."""
    with tempfile.TemporaryDirectory() as folder:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA wal_autocheckpoint=0")
            connection.execute("BEGIN")
            _add_late_cycle(connection, recipe)
            connection.execute("COMMIT")
            _copy_with_log(path, Path(folder))
        for part in Path(folder).iterdir():
            shutil.copyfile(part, path.with_name(part.name))


def _add_late_cycle(connection: sqlite3.Connection, recipe: Recipe) -> None:
    """A tenth as many items again, in one last unfinished cycle."""
    module, dice = rss_rows, recipe.dice("rss-log")
    count = max(recipe.rows // 10, 1)
    ticks = Ticks(dice.rng, count, start=START + module.LATER, span=timedelta(minutes=1))
    cycle = module.Cycle(1, START + module.LATER)
    cycle_id = connection.execute("SELECT max(id) + 1 FROM rss_fetch_cycles").fetchone()[0]
    items = [module.item_row(n, cycle_id, ticks.next(), cycle, dice) for n in range(count)]
    _fill(connection, "rss_fetch_cycles", module.CYCLE_COLUMNS, [module.cycle_row(cycle, dice)])
    _fill(connection, "rss_fetch_items", module.ITEM_COLUMNS, items)


FILLERS = {
    schema.KNOWLEDGE: _fill_knowledge,
    schema.ACCURACY: _fill_accuracy,
    schema.CONTINUUM: _fill_continuum,
    schema.RSS: _fill_rss,
}
