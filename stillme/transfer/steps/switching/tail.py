"""The tail of a cut-over: the rows that were written last, proven by the judge.

The caller hands the judge in, because loader and judge do not import each other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from stillme.transfer.errors import TransferError
from stillme.transfer.findings import Finding
from stillme.transfer.keys import Key
from stillme.transfer.sqlite.capture.log import collapse
from stillme.transfer.sqlite.reading.connect import quoted
from stillme.transfer.steps.merging.foreign import foreign_among
from stillme.transfer.steps.syncing.live_file import LiveFile, Round

_NEWEST = 50


class Judge(Protocol):
    """Judges rows of live files by key; `prepare` is called before anything is frozen.

    `patience` is how many seconds it may wait for a file that is locked.
    """

    patience: float

    def prepare(self, file: str, path: Path) -> None:
        """Find what holds for the whole file."""

    def judge(self, file: str, table: str, keys: Sequence[Key]) -> list[Finding]:
        """What differs between the two sides in these rows."""

    def structure(self, file: str) -> list[Finding]:
        """How the target tables of a file differ from what is declared, apart from their rows."""


class Tail:
    """Which rows are still to be proven: declared table -> keys, per file."""

    def __init__(
        self, alias: str, judge: Judge, decided: Mapping[str, Collection[str]] | None = None
    ) -> None:
        """`decided` maps a file to its tables in which foreign rows stay, by a decision.

        Only tables that were listed when it was decided: nobody decides about unknown rows.
        """
        self._alias = alias
        self._decided = decided or {}
        self._judge = judge
        self._touched: dict[tuple[str, str], dict[Key, None]] = {}
        self.verified = 0

    def prepare(self, live: LiveFile) -> None:
        """Before the freeze; the newest rows are proven whether touched or not."""
        self.decide_again(live)
        for table in live.tables:
            self.touch(live.file.name, table, newest_keys(live, table))

    def decide_again(self, live: LiveFile) -> None:
        """The judge finds what holds for the whole file: its clock may have changed."""
        self._judge.prepare(live.file.name, live.file.path)

    def note(self, found: Round) -> None:
        """A round was replayed: its rows are to be proven."""
        for table, keys in found.keys.items():
            self.touch(found.file, table, keys)

    def note_log(self, live: LiveFile, position: int) -> None:
        """The rows of all changes that the log still holds are to be proven, replayed or not."""
        changes = live.log.after(max(0, position), 1_000_000)
        by_name = collapse(changes, live.mappings.values())
        for table, source in live.tables.items():
            self.touch(live.file.name, table, by_name.get(source.job.mapping.table, ()))

    def touch(self, file: str, table: str, keys: Sequence[Key]) -> None:
        """These rows are to be proven."""
        self._touched.setdefault((file, table), {}).update(dict.fromkeys(keys))

    def differing(self, live: LiveFile) -> list[str]:
        """A sentence per row of the file that is not the same on both sides; those stay noted.

        What is proven is forgotten until it is touched again.
        """
        sentences = []
        for table in live.tables:
            columns = live.tables[table].job.mapping.key_columns
            keys = columns.held(self._touched.pop((live.file.name, table), {}))
            findings = self._judge.judge(live.file.name, table, keys)
            found = [(str(finding.key), finding.sentence()) for finding in findings]
            if found and table in self._decided.get(live.file.name, ()):
                mapping = live.tables[table].job.mapping
                left = set(foreign_among(self._alias, mapping, [key for key, _ in found]))
                found = [pair for pair in found if pair[0] not in left]
            self.verified += len(keys)
            self.touch(live.file.name, table, _named(keys, [key for key, _ in found]))
            sentences += [
                f"{table} row {key} is not the same on both sides ({why})" for key, why in found
            ]
        return sentences


def _named(keys: Sequence[Key], names: Sequence[str]) -> list[Key]:
    """The named keys (as text); all keys if a name matches none of them."""
    by_name = {key.spelled(): key for key in keys}
    if not by_name.keys() >= set(names):
        return list(keys)
    return [by_name[name] for name in dict.fromkeys(names)]


def refuse(sentences: Sequence[str]) -> None:
    """Raise TransferError where a row differs."""
    if sentences:
        raise TransferError(
            f"{sentences[0]}: the files stay in charge; run manage.py verify_migration and "
            "manage.py sync_sqlite --sweep."
        )


def newest_keys(live: LiveFile, table: str) -> list[Key]:
    """The keys of the newest rows of a table."""
    mapping = live.tables[table].job.mapping
    keys = mapping.key_columns
    if not keys:
        return []
    order = f"{quoted(mapping.table)}.rowid" if mapping.has_rowid else quoted(keys.names[0])
    rows = live.connection.execute(
        f"SELECT {keys.legacy_parts()} FROM {quoted(mapping.table)} "
        f"WHERE {keys.legacy_usual()} ORDER BY {order} DESC LIMIT {_NEWEST}"
    )
    return [Key.of_flat(row) for row in rows]
