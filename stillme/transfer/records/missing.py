"""What is gone or misspelt: a file, table or store that was loaded, or that a setting names.

A legacy file that is not there may belong to a feature that was never switched on. It may also
have been deleted, emptied, renamed, or looked for at a wrong path. Two witnesses tell these apart:
the ledger, which knows what was loaded, and the target, whose rows must come from somewhere.
Rows that the application wrote after the cut-over come from no file and count for nothing here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from django.db import connections, models

from stillme.postgresql.statements import fetch_all
from stillme.transfer.conf import conf
from stillme.transfer.errors import LegacyFileError
from stillme.transfer.findings import Finding, FindingKind
from stillme.transfer.inventory.selection import Selection
from stillme.transfer.inventory.stores import Store, stores
from stillme.transfer.legacy import LegacyModel
from stillme.transfer.mapped_column import spelled_key
from stillme.transfer.mapping import map_table, split_table
from stillme.transfer.models import FileState, QuarantinedRow, ReverseChange, RunFile, RunTable
from stillme.transfer.plumbing.presence import GONE, absence
from stillme.transfer.plumbing.quoting import quoted
from stillme.transfer.registry import LegacyFile, legacy_files, legacy_models
from stillme.transfer.sqlite.reading.connect import open_legacy
from stillme.transfer.sqlite.schema.found import read_schema
from stillme.visible import counted

ADVICE = (
    f"put it back where the settings look for it, or set its path ({conf().paths}), or take the "
    "setting out where nothing ever was there; nothing was deleted in PostgreSQL"
)


@dataclass(frozen=True, slots=True)
class Missing:
    """One legacy table that is gone; `table` is "" where a file was loaded that held no rows.

    `what` says what is the case at `path`. The target holds `rows` of it, the quarantine
    `aside`; `loaded` is what the ledger knows: when, from where.
    """

    file: str
    table: str
    target: str
    path: str
    what: str
    rows: int = 0
    aside: int = 0
    loaded: str = ""

    @property
    def known(self) -> str:
        """What is known of it, as a clause."""
        if not self.table:
            return f"it was {self.loaded}" if self.loaded else "the settings name it"
        held = f"the target holds {counted(self.rows, 'row')} of {self.table}"
        if self.aside:
            held += f", the quarantine {self.aside:,}"
        if not self.loaded:
            return f"{held}, though no legacy file holds them and no import is recorded"
        return f"{held}, which was {self.loaded}"

    @property
    def sentence(self) -> str:
        """One line for people."""
        return f"{self.file}: {self.path} {self.what}, but {self.known}: {ADVICE}."

    def as_finding(self) -> Finding:
        """As the judge says it."""
        where = self.target or self.file
        expected = f"{self.table or self.file} in {self.path}"
        return Finding(FindingKind.MISSING_LEGACY, where, None, expected, self.what, self.known)


def missing_legacy(alias: str, selection: Selection | None = None) -> list[Missing]:
    """Everything selected that was loaded, or whose rows the target has, and that is gone.

    Also what is not there although a setting names it: the path is misspelt. Where nothing at all
    is there, whoever reads the files says so.
    """
    chosen = selection or Selection()
    files = [file for file in legacy_files() if chosen.wants_file(file.name)]
    found = [line for file in files for line in _of_file(alias, file, chosen)]
    for store in stores():
        wanted = not chosen.tables and (not chosen.files or store.name in chosen.files)
        if wanted and not store.is_present():
            found += _of_store(alias, store)
    return found + _misspelt(chosen, {line.file for line in found})


def _misspelt(chosen: Selection, told: set[str]) -> list[Missing]:
    places: list[tuple[LegacyFile | Store, Path]] = [
        *((file, file.path) for file in legacy_files() if chosen.wants_file(file.name)),
        *((store, store.path()) for store in stores() if not chosen.tables and not chosen.files),
    ]
    absent = [(each, path) for each, path in places if absence(path) == GONE]
    if len(absent) == len(places):
        return []
    return [
        Missing(each.name, "", "", str(path), GONE)
        for each, path in absent
        if each.name not in told and not each.optional
    ]


def _of_file(alias: str, file: LegacyFile, selection: Selection) -> Iterator[Missing]:
    wanted = [m for m in legacy_models(file.name) if selection.wants(file.name, m._meta.db_table)]
    what = absence(file.path)
    if what is None:
        return
    gone = wanted if what else _undone(file.path, wanted)
    known = _recorded(alias, file.name) if gone else set()
    told = [_of_table(alias, file, model, what, known) for model in gone]
    lines = [line for line in told if line is not None]
    yield from lines
    if what and not lines and (loaded := _loaded(alias, file.name)):
        yield Missing(file.name, "", "", str(file.path), what, loaded=loaded)


def _undone(path: Path, models: list[type[LegacyModel]]) -> list[type[LegacyModel]]:
    """The models whose table the file has not."""
    try:
        with closing(open_legacy(path)) as connection:
            schema = read_schema(connection)
    except (LegacyFileError, sqlite3.Error):
        # Not missing but unreadable: whoever reads the file says so and stops.
        return []
    return [model for model in models if map_table(model, schema) is None]


def _recorded(alias: str, file: str) -> set[str]:
    """The tables of a file that the ledger or the quarantine knows.

    Mostly none of a file that never was there: asked once for all of them.
    """
    found: set[str] = set()
    for record in (RunTable, QuarantinedRow):
        rows = record.objects.using(alias).filter(file=file).order_by()
        found.update(rows.values_list("table", flat=True).distinct())
    return found


def _of_table(
    alias: str, file: LegacyFile, model: type[LegacyModel], what: str, known: set[str]
) -> Missing | None:
    table = model._meta.db_table
    target = model.target_model()
    name = ".".join(split_table(target._meta.db_table))
    rows = _rows(alias, name, target)
    if not rows and table not in known:
        return None
    aside = QuarantinedRow.objects.using(alias).filter(file=file.name, table=table).count()
    loaded, loaded_rows = _loaded_table(alias, file.name, table)
    if not (rows or aside or loaded_rows):
        return None
    what = what or f"has no table {table}"
    return Missing(file.name, table, name, str(file.path), what, rows, aside, loaded)


def _rows(alias: str, name: str, target: type[models.Model]) -> int:
    """The target's rows that were not written by the application after a cut-over."""
    changes = ReverseChange.objects.using(alias).filter(relation=name)
    written = list(changes.values_list("key", flat=True).distinct())
    if None in written:
        return 0
    relation = ".".join(map(quoted, name.split(".")))
    connection = connections[alias]
    if fetch_all(connection, "SELECT to_regclass(%s)", [relation])[0][0] is None:
        return 0
    query = f"SELECT count(*) FROM {relation} WHERE {spelled_key(target)} <> ALL(%s)"
    return int(fetch_all(connection, query, [written])[0][0])


def _of_store(alias: str, store: Store) -> Iterator[Missing]:
    held = store.target_rows(alias)
    tables = RunTable.objects.using(alias).filter(file=store.name)
    last = tables.order_by("-run_id").values("run_id")[:1]
    then = tables.filter(run_id=last, legacy_rows__gt=0)
    for table in sorted({*held, *then.values_list("table", flat=True)}):
        aside = QuarantinedRow.objects.using(alias).filter(file=store.name, table=table).count()
        loaded, _ = _loaded_table(alias, store.name, table)
        rows = held.get(table, 0)
        path = str(store.path())
        yield Missing(store.name, table, table, path, GONE, rows, aside, loaded)


def _loaded(alias: str, file: str) -> str:
    """What the ledger knows of a file: "loaded from ... on ..."."""
    seen = RunFile.objects.using(alias).filter(file=file, run__command="import_sqlite")
    last = seen.select_related("run").order_by("-run_id").first()
    if last is not None:
        return f"loaded from {last.path} on {last.run.started_at:%Y-%m-%d %H:%M} UTC"
    state = FileState.objects.using(alias).filter(pk=file).exclude(state=FileState.State.ABSENT)
    known = state.first()
    return f"{known.state} on {known.changed_at:%Y-%m-%d %H:%M} UTC" if known is not None else ""


def _loaded_table(alias: str, file: str, table: str) -> tuple[str, int]:
    """The same of a table, with the rows that its last import read."""
    seen = RunTable.objects.using(alias).filter(file=file, table=table)
    last = seen.select_related("run").order_by("-run_id").first()
    if last is None:
        return "", 0
    when = f"{last.run.started_at:%Y-%m-%d %H:%M} UTC"
    source = RunFile.objects.using(alias).filter(run_id=last.run_id, file=file).first()
    place = f" from {source.path}" if source is not None else ""
    return f"loaded{place} on {when} ({counted(last.legacy_rows, 'row')})", last.legacy_rows
