"""The manifest of a backup: what was copied, from where, and how to recognise it again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from stillme.transfer.errors import LegacyFileError
from stillme.transfer.plumbing.private_file import write_private
from stillme.transfer.sqlite.copying.backup_check import Readable, Soundness

NAME = "manifest.json"
FORMAT = 1


@dataclass(kw_only=True)
class FileEntry(Soundness):
    """One SQLite file: where it was, how it was copied, and what the check of the copy found."""

    name: str
    file: str
    source: str
    size: int
    sha256: str
    journal_mode: str = ""
    copied: str = ""
    restarts: int = 0
    # Taken after a cut-over (or in the middle of one): the copy refuses writes as the file did.
    frozen: bool = False


@dataclass(slots=True)
class FolderEntry:
    """A folder (the vector store): each file's path in it, size and SHA-256."""

    name: str
    source: str
    files: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class Manifest:
    """A whole backup. `absent` names legacy files that were not there."""

    made_at: str
    sqlite_version: str
    files: list[FileEntry] = field(default_factory=list)
    folders: list[FolderEntry] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    format: int = FORMAT

    @property
    def sound(self) -> bool:
        """Whether every file is."""
        return all(entry.sound for entry in self.files)

    @property
    def frozen(self) -> list[str]:
        """The names of the files that refuse writes."""
        return [entry.name for entry in self.files if entry.frozen]


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Written last and in one step: a folder with a manifest is a complete backup."""
    text = json.dumps(asdict(manifest), indent=2, ensure_ascii=False)
    write_private(directory / NAME, f"{text}\n")


def read_manifest(directory: Path) -> Manifest:
    """Raises LegacyFileError where there is none, or none that can be read."""
    path = directory / NAME
    if not path.is_file():
        raise LegacyFileError(
            f"{directory} has no {NAME}: name a folder that backup_sqlite wrote to the end."
        )
    try:
        data = json.loads(path.read_text("utf-8"))
        files = [
            FileEntry(readable=[Readable(**table) for table in entry.pop("readable")], **entry)
            for entry in data.pop("files")
        ]
        folders = [FolderEntry(**entry) for entry in data.pop("folders")]
        manifest = Manifest(files=files, folders=folders, **data)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise LegacyFileError(f"{path} is damaged: use another backup.") from error
    except OSError as error:
        raise LegacyFileError(f"{path} cannot be read: {error.strerror}.") from error
    if manifest.format != FORMAT:
        raise LegacyFileError(
            f"{path} has format {manifest.format}: use the version that wrote it."
        )
    return manifest
