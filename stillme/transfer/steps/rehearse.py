"""The rehearsal: the whole migration day on copies of the files, into a scratch database.

The scratch database is on the same server, so what is timed is what the real day will take. The
live files are only read (by one online backup), the real target is not touched; both copies are
gone at the end, whatever happens.
"""

from __future__ import annotations

import hashlib
import marshal
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command

from stillme.transfer.findings import Event, OnEvent, ignore_event
from stillme.transfer.inventory.selection import Selection, present_files
from stillme.transfer.mapping import TableMapping
from stillme.transfer.models import LeftByDecision
from stillme.transfer.plumbing.quoting import quoted, stored_part
from stillme.transfer.plumbing.scratch import scratch_folder
from stillme.transfer.postgresql.copy import execute, fetch_all
from stillme.transfer.postgresql.scratch_database import scratch_database
from stillme.transfer.registry import LegacyFile, refuse_namesakes
from stillme.transfer.sqlite.capture.install import remove
from stillme.transfer.sqlite.capture.tables import open_writable
from stillme.transfer.sqlite.copying.snapshot import take_snapshot
from stillme.transfer.sqlite.reading.connect import open_legacy
from stillme.transfer.steps.cutover import CutoverOptions, cut_over
from stillme.transfer.steps.follow import FollowOptions, follow
from stillme.transfer.steps.install_capture import install_capture
from stillme.transfer.steps.load import ImportOptions, import_files
from stillme.transfer.steps.readiness.go_no_go import OVERRIDES
from stillme.transfer.steps.rollback import roll_back
from stillme.transfer.steps.switching.tail import Judge
from stillme.transfer.steps.syncing.live_file import LiveFile
from stillme.visible import counted

_ALIAS = "default"
_TOUCHED = 100


@dataclass(frozen=True, slots=True)
class RehearsedStep:
    """One step: how long it took and what came out."""

    name: str
    seconds: float
    ok: bool
    outcome: str


@dataclass(slots=True)
class Rehearsal:
    """The whole day. `ok` is false where a step ended in differences."""

    steps: list[RehearsedStep] = field(default_factory=list)
    bytes: int = 0
    rows: int = 0
    frozen_seconds: float = 0.0
    back_seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether every step ended well."""
        return all(step.ok for step in self.steps)

    @property
    def seconds(self) -> float:
        """All steps together."""
        return sum(step.seconds for step in self.steps)


# Proves the scratch target: how many findings there are, and how many undecided rows.
Verify = Callable[[], tuple[int, int]]
# Whether a step ended well, and what came out.
Step = Callable[[], tuple[bool, str]]


def rehearse(
    verify: Verify | None,
    judge: Judge,
    on_event: OnEvent = ignore_event,
) -> Rehearsal:
    """Do the whole day on copies. Raises TransferError where a step cannot run.

    `verify` proves the scratch target, `judge` the tail of cut-over and rollback.
    """
    result = Rehearsal()
    with scratch_folder("rehearsal") as folder:
        _do({"backup of the live files": lambda: _copy_files(folder, result)}, result, on_event)
        left = _left_by_decision()
        with scratch_database(_ALIAS), other_files(folder):
            _do(_the_day(result, verify, judge, left), result, on_event)
    return result


def _do(steps: Mapping[str, Step], result: Rehearsal, on_event: OnEvent) -> None:
    """Do the steps; time and tell each."""
    for name, step in steps.items():
        began = time.monotonic()
        ok, outcome = step()
        done = RehearsedStep(name, time.monotonic() - began, ok, outcome)
        result.steps.append(done)
        on_event(Event("step", {"name": name, "seconds": done.seconds}))


def _the_day(
    result: Rehearsal, verify: Verify | None, judge: Judge, left: list[LeftByDecision]
) -> dict[str, Step]:
    before: dict[str, str] = {}
    steps: dict[str, Step | None] = {
        "migrate": lambda: _migrate(left),
        "capture: probes and triggers": _install,
        "import": lambda: _import(result),
        "proof": verify and (lambda: proven(*verify())),
        "writes on the files, followed": _follow,
        "cut-over": lambda: _cut_over(result, judge),
        "digests of the frozen files": lambda: _digests(before),
        "writes on PostgreSQL": _touch_target,
        "rollback": lambda: _roll_back(result, judge),
        "files as before the cut-over": lambda: _same(before),
        "proof after the rollback": verify and (lambda: proven(*verify())),
    }
    return {name: step for name, step in steps.items() if step is not None}


def _copy_files(folder: Path, result: Rehearsal) -> tuple[bool, str]:
    files = present_files(Selection(), [])
    refuse_namesakes(files)
    for file in files:
        snapshot = take_snapshot(file.name, file.path, folder, keep_indexes=True)
        copy = folder / file.path.name
        snapshot.path.rename(copy)
        # The capture in it is the real target's.
        remove(copy)
        result.bytes += snapshot.size
    return True, f"{counted(len(files), 'file')}, {result.bytes / 2**20:,.1f} MiB"


def _left_by_decision() -> list[LeftByDecision]:
    """What the real target says is left behind, if it is migrated."""
    is_there = "SELECT to_regclass(%s) IS NOT NULL"
    if not fetch_all(_ALIAS, is_there, [LeftByDecision._meta.db_table])[0][0]:
        return []
    return list(LeftByDecision.objects.using(_ALIAS))


def _migrate(left: list[LeftByDecision]) -> tuple[bool, str]:
    call_command("migrate", verbosity=0, interactive=False)
    LeftByDecision.objects.using(_ALIAS).bulk_create(left)
    return True, "tables made"


def _install() -> tuple[bool, str]:
    reports = install_capture(_ALIAS, Selection())
    return True, f"{counted(sum(len(r.probes) for r in reports), 'probe')} passed"


def _import(result: Rehearsal) -> tuple[bool, str]:
    done = import_files(ImportOptions(database=_ALIAS))
    result.rows = sum(table.outcome.legacy_rows for table in done.tables)
    aside = sum(table.outcome.quarantined for table in done.tables)
    return done.conserved, f"{counted(result.rows, 'row')}, {aside:,} quarantined"


def proven(findings: int, undecided: int) -> tuple[bool, str]:
    """Whether a proof of the scratch target is fine, in words."""
    words = [counted(findings, "finding") if findings else "equal"]
    if undecided:
        # Decisions are kept in the real target; they do not stand in the way of a rehearsal.
        words.append(f"{counted(undecided, 'row')} set aside, decided or not")
    return not findings, "; ".join(words)


def _follow() -> tuple[bool, str]:
    touched = sum(_touch_file(file) for file in present_files(Selection(), []))
    done = follow(FollowOptions(once=True, sweep=True, database=_ALIAS))
    replayed = sum(file.changes for file in done.files)
    return replayed == touched and not done.bypassed, f"{counted(replayed, 'change')} replayed"


def _keyed(file: LegacyFile) -> list[TableMapping]:
    """The tables of a file whose rows have keys."""
    with closing(LiveFile(file, None)) as live:
        return [mapping for mapping in live.mappings.values() if mapping.key_columns]


def _touch_file(file: LegacyFile) -> int:
    """Writes that change nothing, but that capture must see."""
    touched = 0
    with closing(open_writable(file.path)) as connection:
        for mapping in _keyed(file):
            if not mapping.has_rowid:
                continue
            table, key = map(quoted, (mapping.table, mapping.key_columns.names[0]))
            touched += connection.execute(
                f"UPDATE {table} SET {key} = {key} WHERE rowid IN "
                f"(SELECT rowid FROM {table} LIMIT {_TOUCHED})"
            ).rowcount
    return touched


def _cut_over(result: Rehearsal, judge: Judge) -> tuple[bool, str]:
    done = cut_over(
        CutoverOptions(
            database=_ALIAS,
            freeze_limit=60.0,
            overrides=dict.fromkeys(OVERRIDES, "a rehearsal on copies"),
            seal=False,
        ),
        judge,
    )
    result.frozen_seconds = done.frozen_seconds
    return True, f"writers locked out for {done.frozen_seconds:.2f} s"


def _touch_target() -> tuple[bool, str]:
    touched = 0
    for file in present_files(Selection(), []):
        for mapping in _keyed(file):
            keys, relation = mapping.key_columns.target(), mapping.relation
            key = quoted(mapping.key_columns.targets[0])
            touched += execute(
                _ALIAS,
                f"UPDATE {relation} SET {key} = {key} WHERE ({keys}) IN "
                f"(SELECT {keys} FROM {relation} LIMIT {_TOUCHED})",
            )
    return True, f"{counted(touched, 'row')} touched"


def _roll_back(result: Rehearsal, judge: Judge) -> tuple[bool, str]:
    done = roll_back(_ALIAS, judge, freeze_limit=3600.0)
    result.back_seconds = done.frozen_seconds
    keys = sum(len(table.keys) for table in done.tables)
    return (
        not done.unequal,
        f"{counted(keys, 'row')} checked, nobody wrote for {done.frozen_seconds:.2f} s",
    )


def _digests(found: dict[str, str]) -> tuple[bool, str]:
    for file in present_files(Selection(), []):
        with closing(open_legacy(file.path)) as connection:
            for mapping in _keyed(file):
                found[mapping.declared_table] = table_digest(connection, mapping)
    return True, counted(len(found), "table")


def table_digest(connection: sqlite3.Connection, mapping: TableMapping) -> str:
    """The digest of every stored value of a table, with its storage class."""
    names = map(quoted, (*(c.legacy for c in mapping.columns), *mapping.extra))
    # Text as bytes: what is not UTF-8 has a digest too.
    cells = ", ".join(map(stored_part, names))
    table, key = quoted(mapping.table), mapping.key_columns.legacy()
    digest = hashlib.blake2b(digest_size=16)
    for row in connection.execute(f"SELECT {cells} FROM {table} ORDER BY {key}"):
        # Version 2 has no back references, so equal rows give equal bytes.
        digest.update(marshal.dumps(row, 2))
    return digest.hexdigest()


def _same(before: dict[str, str]) -> tuple[bool, str]:
    after: dict[str, str] = {}
    _digests(after)
    other = [table for table in before if after.get(table) != before[table]]
    return not other, "bit for bit" if not other else f"different: {', '.join(other)}"


@contextmanager
def other_files(folder: Path) -> Iterator[None]:
    """Point the settings at the copies."""
    original: dict[str, Any] = settings.TRANSFER
    files = {
        name: {**entry, "path": folder / Path(entry["path"]).name}
        for name, entry in original["FILES"].items()
    }
    settings.TRANSFER = {**original, "FILES": files}
    try:
        yield
    finally:
        settings.TRANSFER = original
