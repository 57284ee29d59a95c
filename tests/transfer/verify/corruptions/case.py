"""One line of the matrix: what is planted, and what the judge must say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stillme.transfer.findings import FindingKind

ITEMS = "knowledge.knowledge_items"
SESSIONS = "knowledge.learning_sessions"
LINKS = "knowledge.knowledge_relationships"
SCORES = "accuracy.accuracy_scores"
TRENDS = "accuracy.performance_trends"
GOALS = "accuracy.learning_objectives"
TIERS = "continuum.tier_metrics"
AUDIT = "continuum.tier_audit"
FORGOT = "continuum.forgetting_metrics"
CYCLES = "rss.fetch_cycles"
FETCHED = "rss.fetch_items"

LEGACY_NAME = {
    ITEMS: "knowledge_items", SESSIONS: "learning_sessions", LINKS: "knowledge_relationships",
    SCORES: "accuracy_scores", TRENDS: "performance_trends", GOALS: "learning_objectives",
    TIERS: "tier_metrics", AUDIT: "tier_audit", FORGOT: "forgetting_metrics",
    CYCLES: "rss_fetch_cycles", FETCHED: "rss_fetch_items",
}  # fmt: skip

KNOWLEDGE, ACCURACY, CONTINUUM, RSS = "knowledge", "accuracy", "continuum", "rss"
EVERY_FILE = (KNOWLEDGE, ACCURACY, CONTINUUM, RSS)

# What is done to a copy of the legacy files: the file and SQL for it, or a function of the folder.
OnLegacy = tuple[str, ...] | Callable[[Path], None]


@dataclass(frozen=True)
class Corruption:
    """A wrong state and the finding that must name it.

    `plant` is SQL for the target, `legacy` is done to a copy of the legacy files. The finding is
    of `kind` (or of one of several), at `where` (a pattern as of a shell), with `key` (None: about
    no row; "*": any). `files` are judged; by default the file of the table in `where`.
    Of `tables` (legacy names) only these are judged.
    """

    what: str
    kind: FindingKind | tuple[FindingKind, ...]
    where: str
    key: str | None
    plant: tuple[str, ...] = ()
    legacy: OnLegacy = ()
    files: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()

    @property
    def kinds(self) -> tuple[FindingKind, ...]:
        """The kinds of which one must be said."""
        return (self.kind,) if isinstance(self.kind, FindingKind) else self.kind

    @property
    def judged(self) -> tuple[str, ...]:
        """The legacy files to be judged; every one named means all, stores too."""
        return self.files or (self.where.split(".")[0],)


# SQL for the target, or a function of the legacy folder.
Step = str | Callable[[Path], object]


@dataclass(frozen=True)
class Lawful:
    """A difference that is none: the judge must say PROVEN.

    `plant` is done in a transaction that is rolled back, `once` cannot be and `undo` takes it back.
    `legacy` is done to a copy of the legacy files. All `files` are judged unless some are named.
    """

    what: str
    plant: tuple[Step, ...] = ()
    legacy: OnLegacy = ()
    files: tuple[str, ...] = ()
    once: tuple[Step, ...] = ()
    undo: tuple[Step, ...] = ()

    @property
    def judged(self) -> tuple[str, ...]:
        """The legacy files to be judged."""
        return self.files or EVERY_FILE


def key_of(table: str) -> str:
    """The name of a target table's key column."""
    return "item_id" if table == TIERS else "id"


def row_of(table: str, key: int | str) -> str:
    """SQL: a condition that only this row of the target meets."""
    spelled = str(key).replace("'", "''")
    return f"{key_of(table)} = '{spelled}'"


def cell(
    what: str, table: str, column: str, key: int | str, value: str, *before: str
) -> Corruption:
    """A cell of the target that is set to the value of an SQL expression."""
    sql = f"UPDATE {table} SET {column} = {value} WHERE {row_of(table, key)}"
    return cells(what, table, column, key, *before, sql)


def cells(what: str, table: str, column: str, key: int | str, *sql: str) -> Corruption:
    """Several cells at once: the finding must name this one."""
    where, tables = f"{table}:{column}", (LEGACY_NAME[table],)
    return Corruption(what, FindingKind.VALUE, where, str(key), sql, tables=tables)
