"""Every LegacyModel, in foreign-key order, and the files they live in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stillme.transfer.conf import conf
from stillme.transfer.errors import TransferError
from stillme.transfer.identity import TableId
from stillme.transfer.kinds import Reference
from stillme.transfer.legacy import LegacyModel, legacy_apps


@dataclass(frozen=True, slots=True)
class LegacyFile:
    """A legacy file: its short name, its Django alias, where it is."""

    name: str
    alias: str
    path: Path


def legacy_files() -> list[LegacyFile]:
    """The configured legacy files, in settings' order."""
    return [LegacyFile(name, entry.alias, entry.path) for name, entry in conf().files.items()]


def legacy_file(name: str) -> LegacyFile:
    """The file with that short name. Raises KeyError for an unknown one."""
    return {file.name: file for file in legacy_files()}[name]


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


def legacy_model(file: str, table: str) -> type[LegacyModel]:
    """The model of a legacy table. Raises KeyError for an unknown one."""
    return _by_identity()[TableId(file, table)]


def table_label(table: TableId) -> str:
    """What people read: the table's name, after its file's where other files have one of it."""
    files = {m.legacy.file for m in registered() if m._meta.db_table == table.table}
    return str(table) if files - {table.file} else table.table


def parents(model: type[LegacyModel]) -> set[str]:
    """The other tables of the same file that `model` refers to."""
    found = {c.kind.parent for c in model.columns() if isinstance(c.kind, Reference)}
    return found - {model._meta.db_table}


def circle(model: type[LegacyModel]) -> list[str]:
    """The tables of a circle of references that starts at `model`; none where there is no such.

    A table that refers to itself makes none: its rows are loaded together.
    """
    known, start = _by_identity(), model._meta.db_table
    paths = [[start]]
    seen: set[str] = set()
    while paths:
        path = paths.pop()
        here = known.get(TableId(model.legacy.file, path[-1]))
        for table in sorted(parents(here)) if here else []:
            if table == start:
                return path
            if table not in seen:
                seen.add(table)
                paths.append([*path, table])
    return []


def depth(model: type[LegacyModel]) -> int:
    """0 for a table without parents, else one more than its deepest parent.

    Raises TransferError for tables that refer to each other in a circle.
    """
    if found := circle(model):
        raise TransferError(circle_sentence(model, found))
    known = _by_identity()
    return max(
        (1 + depth(known[TableId(model.legacy.file, table)]) for table in parents(model)), default=0
    )


def circle_sentence(model: type[LegacyModel], tables: list[str]) -> str:
    """What a circle means."""
    path = " -> ".join([*tables, tables[0]])
    return (
        f"{model.legacy.file}: tables refer to each other in a circle ({path}), which no order of "
        "loading satisfies."
    )


def levels(models: Iterable[type[LegacyModel]]) -> list[list[type[LegacyModel]]]:
    """The models grouped by depth: a group may be loaded in parallel."""
    grouped: dict[int, list[type[LegacyModel]]] = {}
    for model in models:
        grouped.setdefault(depth(model), []).append(model)
    return [grouped[level] for level in sorted(grouped)]


def _by_identity() -> dict[TableId, type[LegacyModel]]:
    return {model.identity(): model for model in registered()}
