"""Which of the project's files has which model's rows, and in which zone Django wrote its times.

A file of which no app declares a LegacyModel has the project's own models. Where there are several,
the entry ``models`` of each but one says which::

    TRANSFER = {"FILES": {
        "shop": {"path": BASE_DIR / "db.sqlite3"},                          # the others
        "stats": {"path": BASE_DIR / "stats.sqlite3", "models": ["stats"]},
    }}
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import models

from stillme.services.zones import AUTO, known_zone
from stillme.transfer.conf import FileSettings, conf
from stillme.transfer.registry import registered

Model = type[models.Model]
TARGET = "default"
SQLITE = "django.db.backends.sqlite3"
_built: list[str] = []


def begin() -> None:
    """Find the files with the project's own models: no app has declared any for them."""
    declared = {model.legacy.file for model in registered()}
    _built[:] = [name for name in conf().files if name not in declared]


def built_files() -> tuple[str, ...]:
    """The files that have the project's own models."""
    return tuple(_built)


def is_built(file: str) -> bool:
    """Whether a file has models of the project's own."""
    return file in _built


def file_of(model: Model) -> str | None:
    """The file with a model's rows: one that names the model, else its app, else the other one."""
    files = {name: entry for name, entry in conf().files.items() if name in _built}
    for label in _labels(model):
        for name, entry in files.items():
            if label in entry.models:
                return name
    return next((name for name, entry in files.items() if not entry.models), None)


def _labels(model: Model) -> list[str]:
    """What may name a model, the nearest first; a many-to-many table is its owner's, too."""
    owner: Any = model._meta.auto_created or model
    return [model._meta.label_lower, owner._meta.label_lower, owner._meta.app_label.lower()]


def labels(model: Model) -> set[str]:
    """The names of a model and of its app, in lower case."""
    return {model._meta.label_lower, model._meta.app_label.lower()}


def unknown_names(entry: str, names: tuple[str, ...]) -> list[str]:
    """Sentences about names in the setting that no model and no app has."""
    known = {name for m in apps.get_models(include_auto_created=True) for name in labels(m)}
    known |= {config.label.lower() for config in apps.get_app_configs()}
    return [
        f"TRANSFER{entry} names {name!r}, which is no model and no app of the project"
        for name in names
        if name.lower() not in known
    ]


def problems_of_files() -> Iterator[str]:
    """What is wrong with the entries of the files, as sentences."""
    files = {name: entry for name, entry in conf().files.items() if name in _built}
    rest = [name for name, entry in files.items() if not entry.models]
    if len(rest) > 1:
        yield (
            f"TRANSFER names {len(rest)} files of which no app declares a LegacyModel "
            f'({", ".join(rest)}): say in the entry "models" of each but one which apps and '
            "models it has"
        )
    for name, entry in files.items():
        yield from unknown_names(f'["FILES"][{name!r}]["models"]', entry.models)
        yield from _zone_problems(name, entry)


def zone_of(file: str | None) -> str:
    """The zone in which Django wrote aware times to a file; UTC if its database named none."""
    if file is None or file not in conf().files:
        return "UTC"
    entry = conf().files[file]
    return _said(entry) or next(_of_databases(entry), ("", "UTC"))[1]


def notices_of(file: str) -> list[str]:
    """How the times of a file are read, where that is not in UTC."""
    if not is_built(file) or not settings.USE_TZ or zone_of(file) == "UTC":
        return []
    alias = next((alias for alias, _ in _of_databases(conf().files[file])), "")
    where = f'DATABASES["{alias}"]["TIME_ZONE"]' if alias else "its entry time_zone"
    return [f"{file}: its times are read as those of {zone_of(file)}, as {where} says."]


def _zone_problems(name: str, entry: FileSettings) -> Iterator[str]:
    said, found = _said(entry), [*_of_databases(entry)]
    try:
        known_zone(said)
    except ValueError:
        yield f'TRANSFER["FILES"][{name!r}]["time_zone"] is {said!r}, which is no known time zone'
        return
    if not settings.USE_TZ:
        if said and said != settings.TIME_ZONE:
            yield (
                f'TRANSFER["FILES"][{name!r}]["time_zone"] is {said}, but without USE_TZ Django '
                f"reads the naive times of both databases in TIME_ZONE ({settings.TIME_ZONE}): "
                "leave it out"
            )
    elif said and found and found[0][1] != said:
        yield (
            f'TRANSFER["FILES"][{name!r}]["time_zone"] is {said}, and '
            f"DATABASES[{found[0][0]!r}] of the same file has the TIME_ZONE {found[0][1]}: "
            "leave one of them out"
        )


def _said(entry: FileSettings) -> str:
    return "" if entry.time_zone == AUTO else entry.time_zone


def _of_databases(entry: FileSettings) -> Iterator[tuple[str, str]]:
    """Aliases in DATABASES of that very file, with the TIME_ZONE of each; UTC is the default."""
    for alias, database in settings.DATABASES.items():
        named = str(database.get("NAME") or "").removeprefix("file:").partition("?")[0]
        same = bool(named) and Path(named).resolve() == entry.path.resolve()
        if database.get("ENGINE") == SQLITE and same:
            yield alias, str(database.get("TIME_ZONE") or "UTC")
