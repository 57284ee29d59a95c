"""Every LegacyModel, in foreign-key order, and the files they live in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

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
    return [
        LegacyFile(name, entry["alias"], Path(entry["path"]))
        for name, entry in settings.LEGACY_FILES.items()
    ]


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


def legacy_model(table: str) -> type[LegacyModel]:
    """The model of a legacy table. Raises KeyError for an unknown one."""
    return {model._meta.db_table: model for model in legacy_models()}[table]


def parents(model: type[LegacyModel]) -> set[str]:
    """The legacy tables that `model` refers to."""
    return {c.kind.parent for c in model.columns() if isinstance(c.kind, Reference)}


def depth(model: type[LegacyModel]) -> int:
    """0 for a table without parents, else one more than its deepest parent."""
    by_table = _by_table()
    return max((1 + depth(by_table[table]) for table in parents(model)), default=0)


def levels(models: Iterable[type[LegacyModel]]) -> list[list[type[LegacyModel]]]:
    """The models grouped by depth: a group may be loaded in parallel."""
    grouped: dict[int, list[type[LegacyModel]]] = {}
    for model in models:
        grouped.setdefault(depth(model), []).append(model)
    return [grouped[level] for level in sorted(grouped)]


def _by_table() -> dict[str, type[LegacyModel]]:
    return {model._meta.db_table: model for model in registered()}
