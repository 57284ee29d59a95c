"""What a project decides about its migration: the setting `TRANSFER`, read here and nowhere else.

Enough for a project with one legacy file::

    TRANSFER = {"FILES": {"shop": {"path": "/srv/old/shop.db"}}}

The file's short name (``shop``) is what legacy models, commands and reports call it. Every other
entry has a default; docs/reference/settings.md lists them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

VIEW, DECIDE, CORRECT = "view", "decide", "correct"
_PREFIX = re.compile(r"[a-z][a-z_]{0,15}")


def _says(says: str, shown: str = "none") -> Mapping[str, str]:
    """A line of docs/reference/settings.md, which `document_commands` makes: what the entry says,
    and its default in words."""
    return {"says": says, "shown": shown}


@dataclass(frozen=True, slots=True)
class FileSettings:
    """A legacy file: an entry of `TRANSFER["FILES"]`."""

    path: Path = field(metadata=_says("where the file is", "required"))
    alias: str = field(
        metadata=_says(
            "name in `DATABASES` under which legacy models are read", "`legacy_` and the short name"
        )
    )
    time_zone: str = field(
        metadata=_says("zone of its local times", "`LEGACY_TIME_ZONE`, else `auto`")
    )
    models: tuple[str, ...] = field(
        metadata=_says(
            "apps and models that this file has and no other "
            "([several files](../howto/move-a-django-project.md#several-databases))",
            "all others",
        ),
        default=(),
    )
    optional: bool = field(
        metadata=_says(
            "true: it may be absent, because it belongs to a feature that may be off", "false"
        ),
        default=False,
    )


@dataclass(frozen=True, slots=True)
class TransferSettings:
    """The whole setting."""

    files: Mapping[str, FileSettings] = field(
        metadata=_says("short name -> the entries of a legacy file (next table)"),
        default_factory=dict,
    )
    apps: tuple[str, ...] | None = field(
        metadata=_says(
            "labels of the apps whose module `legacy` is imported, and whose tables staff may see "
            "and correct",
            "every app, and those of the targets",
        ),
        default=None,
    )
    application: str = field(
        metadata=_says("what messages call the application that moves", "`the application`"),
        default="the application",
    )
    prefix: str = field(
        metadata=_says(
            "begins every name that is left in your own databases: change log, triggers, scratch "
            "databases. Never change it while a file is captured or live",
            "`transfer`",
        ),
        default="transfer",
    )
    groups: Mapping[str, tuple[str, ...]] = field(
        metadata=_says(
            "staff groups that `migrate` makes -> what each may do: `view`, `decide`, `correct`. "
            "`{}` for none",
            "viewer, operator, administrator",
        ),
        default_factory=lambda: {
            "viewer": (VIEW,),
            "operator": (VIEW, DECIDE),
            "administrator": (VIEW, DECIDE, CORRECT),
        },
    )
    paths: str = field(
        metadata=_says("what messages name as the way to set a file's path", '`TRANSFER["FILES"]`'),
        default='TRANSFER["FILES"]',
    )
    data_dir: Path | None = field(
        metadata=_says("folder that `inspect_sqlite` searches for other SQLite files"), default=None
    )
    other_files: Mapping[str, str] = field(
        metadata=_says("name of such a file -> what it holds, for those that are known"),
        default_factory=dict,
    )
    leave_out: tuple[str, ...] = field(
        metadata=_says(
            "apps (`sessions`) and models (`shop.Product`) of the project that stay behind"
        ),
        default=(),
    )
    fields: Mapping[str, Any] = field(
        metadata=_says(
            "path of a field class -> the kind of its stored values "
            "([examples](../howto/move-a-django-project.md#fields-of-your-own))"
        ),
        default_factory=dict,
    )
    backup_dir: Path | None = field(
        metadata=_says("where the go/no-go list looks for a backup without `--backup`"),
        default=None,
    )

    @property
    def subject(self) -> str:
        """The application at the beginning of a sentence."""
        return self.application[:1].upper() + self.application[1:]


def conf() -> TransferSettings:
    """The setting as it is now: tests and rehearsals change it. Raises ImproperlyConfigured."""
    given: Mapping[str, Any] = getattr(settings, "TRANSFER", {})
    known = {entry.name for entry in fields(TransferSettings)}
    if unknown := sorted(name for name in given if name.lower() not in known):
        raise ImproperlyConfigured(
            f"TRANSFER has no entry {', '.join(unknown)}: "
            f"it knows {', '.join(sorted(name.upper() for name in known))}."
        )
    read = {name.lower(): value for name, value in given.items()}
    files = read.get("files", {})
    if not isinstance(files, Mapping):
        raise ImproperlyConfigured(
            'TRANSFER["FILES"] is no dictionary: give each file a short name, '
            '{"shop": {"path": BASE_DIR / "db.sqlite3"}}.'
        )
    read["files"] = {name: _file(name, entry) for name, entry in files.items()}
    read["leave_out"] = _names(read.get("leave_out", ()))
    made = TransferSettings(**read)
    _check(made)
    return made


def time_zone(file: str) -> str:
    """What the project says of a file's local times: the name of a zone, or `auto`."""
    return conf().files[file].time_zone


def _check(made: TransferSettings) -> None:
    if not _PREFIX.fullmatch(made.prefix):
        raise ImproperlyConfigured(
            f'TRANSFER["PREFIX"] is {made.prefix!r}: use up to 16 lower-case letters and "_".'
        )
    for group, rights in made.groups.items():
        if unknown := set(rights) - {VIEW, DECIDE, CORRECT}:
            raise ImproperlyConfigured(
                f'TRANSFER["GROUPS"] gives {group}: {", ".join(sorted(unknown))}, not one of '
                f"{VIEW}, {DECIDE}, {CORRECT}."
            )


def _names(given: str | Iterable[str]) -> tuple[str, ...]:
    """A single name may go without its list."""
    return (given,) if isinstance(given, str) else tuple(given)


def _file(name: str, entry: Any) -> FileSettings:
    if not isinstance(entry, Mapping):
        entry = {"path": entry}
    if not entry.get("path"):
        raise ImproperlyConfigured(f'TRANSFER["FILES"][{name!r}] has no "path".')
    known = [each.name for each in fields(FileSettings)]
    if unknown := sorted(set(entry) - set(known)):
        raise ImproperlyConfigured(
            f'TRANSFER["FILES"][{name!r}] has no entry {", ".join(unknown)}: '
            f"it knows {', '.join(known)}."
        )
    zone = entry.get("time_zone") or getattr(settings, "LEGACY_TIME_ZONE", "auto")
    return FileSettings(
        Path(entry["path"]),
        entry.get("alias", f"legacy_{name}"),
        str(zone),
        tuple(label.lower() for label in _names(entry.get("models", ()))),
        bool(entry.get("optional")),
    )
