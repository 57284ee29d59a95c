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


@dataclass(frozen=True, slots=True)
class FileSettings:
    """A legacy file: where it is, its alias in DATABASES, the time zone of its local times.

    Without a time zone of its own a file has that of LEGACY_TIME_ZONE, which is `auto` by default.
    `models` are the apps and models (in lower case) of a project that this file has and no other.
    An `optional` file may be absent: it belongs to a feature of the application that may be off.
    """

    path: Path
    alias: str
    time_zone: str
    models: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True, slots=True)
class TransferSettings:
    """The whole setting.

    `apps` are the labels of the apps whose module `legacy` is imported and for whose tables staff
    groups get permissions; by default every app, and those of the targets. `application` is what
    messages call the application that moves. `prefix` begins every name that is left in the users'
    own databases: the change log ``transfer_change``, triggers, scratch databases. Change it never
    while a file is captured. `groups` are the staff groups that `migrate` makes, with what each may
    do (view, decide, correct). `paths` says how an operator sets a file's path. `data_dir` is
    looked through for other SQLite files, `other_files` describes those that are known.

    Where the project's own models are the mapping, `leave_out` names models (``shop.Product``) and
    apps (``sessions``) that stay behind, and `fields` says of field classes of others
    (``shop.fields.MoneyField``) what their values mean.
    """

    files: Mapping[str, FileSettings] = field(default_factory=dict)
    apps: tuple[str, ...] | None = None
    application: str = "the application"
    prefix: str = "transfer"
    groups: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {
            "viewer": (VIEW,),
            "operator": (VIEW, DECIDE),
            "administrator": (VIEW, DECIDE, CORRECT),
        }
    )
    paths: str = 'TRANSFER["FILES"]'
    data_dir: Path | None = None
    other_files: Mapping[str, str] = field(default_factory=dict)
    leave_out: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    backup_dir: Path | None = None

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
