"""What a verification found: findings, the proof of each table, and the verdict."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from stillme.transfer.findings import OF_ROWS, Finding, FindingKind
from stillme.transfer.inventory.entries import InventoryLine, open_lines
from stillme.visible import counted

MOST_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class NewLife:
    """The keys, as text, of rows written since; `everything` where the table was emptied."""

    keys: frozenset[str] = frozenset()
    everything: bool = False

    def has(self, key: str | None) -> bool:
        """Whether the row of this key is not comparable any more."""
        return self.everything or (key is not None and key in self.keys)


@dataclass(slots=True)
class Findings:
    """All findings counted by kind, and the first `MOST_KEPT` of them kept.

    A difference in a row that was written after the cut-over (`new`) does not count.
    """

    counts: Counter[FindingKind] = field(default_factory=Counter)
    kept: list[Finding] = field(default_factory=list)
    new: NewLife = field(default_factory=NewLife)

    def add(self, finding: Finding) -> None:
        """Count one finding, and keep it if there is room."""
        if finding.kind in OF_ROWS and self.new.has(finding.key):
            return
        self.counts[finding.kind] += 1
        if len(self.kept) < MOST_KEPT:
            self.kept.append(finding)

    def extend(self, found: Iterable[Finding]) -> None:
        """Add several."""
        for finding in found:
            self.add(finding)

    def merge(self, other: Findings) -> None:
        """Add another collection's counts and, as far as there is room, its findings."""
        self.counts.update(other.counts)
        self.kept += other.kept[: MOST_KEPT - len(self.kept)]

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.counts.values())


@dataclass(slots=True)
class RoundTripResult:
    """One legacy table rebuilt from the target: rows and cells compared, and how many cells of
    each column only spell their JSON otherwise."""

    rows: int = 0
    cells: int = 0
    spelled_otherwise: dict[str, int] = field(default_factory=dict)
    findings: int = 0

    @property
    def words(self) -> str:
        """The result in words."""
        if self.findings:
            return counted(self.findings, "difference")
        if not self.spelled_otherwise:
            return f"bit-identical ({counted(self.cells, 'cell')})"
        listed = ", ".join(f"{name} {n:,}" for name, n in self.spelled_otherwise.items())
        return f"bit-identical but for JSON spelled otherwise, the same documents ({listed})"


@dataclass(slots=True)
class TableProof:
    """The proof of one table, or of a key range of it.

    `by_digest` rows were proven by a block's checksum, `by_cell` rows cell by cell; `cells` counts
    their legacy cells. `open` and `accepted` rows are in quarantine; `mended` rows were edited
    there, and the target holds them as edited. If the table `is_live`, `written` rows were written
    in PostgreSQL after the cut-over, and the legacy file has `written_legacy` of them too.
    `records` and `originals` are the ids of the quarantine records and kept originals that belong
    to judged rows.
    `guessed` local times have their original kept as a guess.
    """

    file: str
    table: str
    target: str
    legacy_rows: int = 0
    target_rows: int = 0
    by_digest: int = 0
    by_cell: int = 0
    cells: int = 0
    repaired: int = 0
    open: int = 0
    accepted: int = 0
    mended: int = 0
    guessed: int = 0
    is_live: bool = False
    written: int = 0
    written_legacy: int = 0
    findings: Findings = field(default_factory=Findings)
    seconds: float = 0.0
    digest: str = ""
    round_trip: RoundTripResult | None = None
    ranges: list[dict[str, Any]] = field(default_factory=list)
    compared: int = 0
    records: array[int] = field(default_factory=lambda: array("q"))
    originals: array[int] = field(default_factory=lambda: array("q"))

    def add(self, other: TableProof) -> None:
        """Add the proof of another key range of the same table."""
        self.add_figures(other, (*COMPARED, *_COUNTED))
        self.findings.merge(other.findings)

    def add_figures(self, other: TableProof, names: Iterable[str]) -> None:
        """Add these figures or lists of another proof."""
        for name in names:
            setattr(self, name, getattr(self, name) + getattr(other, name))


# What was compared, and what the counts of a whole table say in place of a sample's.
COMPARED = ("by_digest", "by_cell", "cells", "repaired")
_COUNTED = (
    "legacy_rows", "target_rows", "open", "accepted", "mended", "guessed", "ranges", "records",
    "originals",
)  # fmt: skip


@dataclass(slots=True)
class VerifyResult:
    """The outcome of `verify_migration`."""

    level: str
    tables: list[TableProof] = field(default_factory=list)
    structure: Findings = field(default_factory=Findings)
    notices: list[str] = field(default_factory=list)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    run_id: int | None = None
    cluster: str = ""
    started_at: str = ""
    seconds: float = 0.0
    confidence: str = ""
    finished_at: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    quarantine: list[dict[str, Any]] = field(default_factory=list)
    inventory: list[InventoryLine] = field(default_factory=list)

    def account_for(self, lines: Iterable[InventoryLine]) -> None:
        """Add lines of the inventory. An open line is a finding."""
        found = list(lines)
        self.inventory += found
        for line in open_lines(found):
            rows = "something" if line.rows is None else counted(line.rows, "row")
            self.structure.add(
                Finding(
                    FindingKind.INVENTORY,
                    f"{line.file}.{line.name}",
                    None,
                    "carried, or left by a decision",
                    rows,
                    line.why,
                )
            )

    @property
    def findings(self) -> Findings:
        """All findings, those about the structure first."""
        everything = Findings()
        everything.merge(self.structure)
        for table in self.tables:
            everything.merge(table.findings)
        return everything

    @property
    def open_rows(self) -> int:
        """Quarantined rows nobody has decided about."""
        return sum(table.open for table in self.tables)

    @property
    def is_live(self) -> bool:
        """Whether PostgreSQL is in charge of any of it: then it is proven as of the cut-over."""
        return any(table.is_live for table in self.tables)

    @property
    def exit_status(self) -> int:
        """0 if everything is equal or explained, 1 if anything differs or is undecided."""
        return 1 if self.findings.total or self.open_rows else 0

    @property
    def verdict(self) -> str:
        """The verdict, as a sentence."""
        rows = sum(table.legacy_rows for table in self.tables)
        if self.exit_status == 0:
            return self._good_verdict(rows)
        parts = []
        if self.findings.total:
            parts.append(counted(self.findings.total, "finding"))
        if self.open_rows:
            rows_open = counted(self.open_rows, "row")
            parts.append(f"{rows_open} in quarantine nobody has decided about")
        return f"NOT PROVEN: {' and '.join(parts)} among {counted(rows, 'legacy row')}."

    def _good_verdict(self, rows: int) -> str:
        written = sum(table.written for table in self.tables)
        compared = rows - sum(table.written_legacy for table in self.tables)
        since = ""
        if written:
            were = counted(written, "row was", "rows were")
            since = f" {were} written in PostgreSQL since and not compared."
        when = " as of the cut-over" if self.is_live else ""
        if not compared and not written:
            tables = counted(len(self.tables), "table")
            word = "PROVEN" if self.level == "full" else "NO DIFFERENCE FOUND"
            return f"{word}: the {tables} compared hold no rows, on either side."
        if self.level != "full":
            words = self.confidence or "only counts were compared, no values"
            among = counted(compared, "legacy row")
            return f"NO DIFFERENCE FOUND{when} among {among} ({words}).{since}"
        aside = sum(table.accepted for table in self.tables)
        alone = compared == 1
        text = (
            f"PROVEN{when}: {'the only legacy row' if alone else f'all {compared:,} legacy rows'}"
        )
        if compared != rows:
            text += f" that {'was' if alone else 'were'} not written since"
        text += f" {'is' if alone else 'are'} accounted for"
        if not aside:
            return f"{text} in the target, value for value.{since}"
        return (
            f"{text}: {compared - aside:,} in the target, value for value; "
            f"{aside:,} set aside.{since}"
        )
