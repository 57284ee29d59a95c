"""Every LegacyModel, in foreign-key order, and the files they live in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from stillme.transfer.conf import conf, time_zone
from stillme.transfer.errors import LegacyFileError
from stillme.transfer.identity import TableId
from stillme.transfer.kinds import Reference
from stillme.transfer.legacy import LegacyModel, legacy_apps


@dataclass(frozen=True, slots=True)
class LegacyFile:
    """A legacy file: its short name, its Django alias, where it is, whether it may be absent."""

    name: str
    alias: str
    path: Path
    optional: bool = False


def legacy_files() -> list[LegacyFile]:
    """The configured legacy files, in settings' order."""
    return [
        LegacyFile(name, entry.alias, entry.path, entry.optional)
        for name, entry in conf().files.items()
    ]


def legacy_file(name: str) -> LegacyFile:
    """The file with that short name. Raises KeyError for an unknown one."""
    return {file.name: file for file in legacy_files()}[name]


def refuse_namesakes(files: Iterable[LegacyFile]) -> None:
    """Raises LegacyFileError where copies of the files in one folder would be one file."""
    first: dict[str, LegacyFile] = {}
    for file in files:
        other = first.setdefault(file.path.name, file)
        if other is not file:
            raise LegacyFileError(
                f"{other.path} and {file.path} have one file name, and copies of both in one "
                f"folder would be one file: give the file of {file.name} another name, here and in "
                f"the settings of the application ({conf().paths})."
            )


def registered() -> list[type[LegacyModel]]:
    """Every concrete LegacyModel that was imported, in no particular order."""
    return [
        model
        for models in legacy_apps.all_models.values()
        for model in models.values()
        if issubclass(model, LegacyModel)
    ]


def legacy_models(file: str | None = None) -> list[type[LegacyModel]]:
    """Every LegacyModel (of one file), parents before children, in a stable order."""
    found = [model for model in registered() if file in (None, model.legacy.file)]
    return sorted(found, key=lambda model: (depth(model), model._meta.label))


def declaration(file: str) -> str:
    """Identifies what models and settings say of a file: tables, meanings, targets, zone."""
    said = [
        (model.identity(), model.target_model()._meta.db_table, model.keeps_extra(),
         model.legacy.clock, model.legacy.derived,
         [(c.column, c.target_name, c.kind, c.is_key, c.null) for c in model.columns()])
        for model in legacy_models(file)
    ]  # fmt: skip
    return hashlib.sha256(repr((said, time_zone(file))).encode()).hexdigest()[:32]


def legacy_model(file: str, table: str) -> type[LegacyModel]:
    """The model of a legacy table. Raises KeyError for an unknown one."""
    return {model.identity(): model for model in registered()}[TableId(file, table)]


def table_label(table: TableId) -> str:
    """What people read: the table's name, after its file's where other files have one of it."""
    files = {m.legacy.file for m in registered() if m._meta.db_table == table.table}
    return str(table) if files - {table.file} else table.table


def parents(model: type[LegacyModel]) -> set[str]:
    """The other tables of the same file that `model` refers to."""
    found = {c.kind.parent for c in model.columns() if isinstance(c.kind, Reference)}
    return found - {model._meta.db_table}


def circle(file: str, table: str) -> frozenset[str]:
    """The tables that a table refers to and is referred to by, over others or not, itself included.

    Empty for a table in no circle. A table that only refers to itself makes none.
    """
    return _order(frozenset(registered()))[TableId(file, table)].circle


def depth(model: type[LegacyModel]) -> int:
    """0 for a table without parents, else one more than its deepest parent.

    Tables that refer to each other in a circle have one depth.
    """
    return _order(frozenset(registered()))[model.identity()].depth


@dataclass(frozen=True, slots=True)
class _Place:
    depth: int
    circle: frozenset[str]


@lru_cache(maxsize=8)
def _order(models: frozenset[type[LegacyModel]]) -> dict[TableId, _Place]:
    """Where each table stands among all."""
    graph = {m.identity(): {TableId(m.legacy.file, t) for t in parents(m)} for m in models}
    above = {table: _above(graph, table) for table in graph}
    places: dict[TableId, _Place] = {}
    # Whoever is in a circle has the same tables above as the others; children have more.
    for table in sorted(graph, key=lambda table: len(above[table])):
        mutual = {other for other in above[table] if table in above.get(other, ())}
        outside = above[table] - mutual
        depth = max((1 + places[other].depth for other in outside if other in places), default=0)
        places[table] = _Place(depth, frozenset(other.table for other in mutual))
    return places


def _above(graph: dict[TableId, set[TableId]], table: TableId) -> set[TableId]:
    """Parents, their parents, and so on: the table itself only where it is in a circle."""
    found: set[TableId] = set()
    news = set(graph[table])
    while news:
        found |= news
        news = {up for each in news for up in graph.get(each, ())} - found
    return found


def levels(models: Iterable[type[LegacyModel]]) -> list[list[type[LegacyModel]]]:
    """The models grouped by depth, parents first."""
    grouped: dict[int, list[type[LegacyModel]]] = {}
    for model in models:
        grouped.setdefault(depth(model), []).append(model)
    return [grouped[level] for level in sorted(grouped)]
