"""A manifest of a proof: SHA-256 of what was compared and of the report, to be checked later.

It answers one question: are these the files of that proof? It is no
signature: whoever can rewrite the manifest can rewrite its checksum. Keep it, or the checksum at
its end, where others cannot write.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stillme.transfer.errors import LegacyFileError, TransferError
from stillme.transfer.inventory.stores import stores
from stillme.transfer.plumbing.scratch import scratch_folder
from stillme.transfer.sqlite.copying.snapshot import take_snapshot

FORMAT = "stillme-verification-manifest-1"


@dataclass(slots=True)
class ManifestCheck:
    """The result of checking a manifest: what is as it was, and what differs."""

    verdict: str
    status_then: int = 0
    same: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    @property
    def exit_status(self) -> int:
        """0 if everything is as it was and was proven then, else 1."""
        return 1 if self.differences or self.status_then else 0


def make_manifest(report: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest of a report, which is the data of the JSON report."""
    body = {
        "format": FORMAT,
        "run": report["run"],
        "finished_at": report["finished_at"],
        "level": report["level"],
        "verdict": report["verdict"],
        "exit_status": report["exit_status"],
        "versions": report["versions"],
        "files": report["files"],
        "tables": {
            table["target"]: {name: table[name] for name in ("legacy_rows", "findings", "digest")}
            for table in report["tables"]
        },
        "report_sha256": digest_of(report),
    }
    return {**body, "sha256": digest_of(body)}


def digest_of(data: Any) -> str:
    """SHA-256 of plain data: its JSON with sorted keys and no spaces, in UTF-8."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def check_manifest(path: Path) -> ManifestCheck:
    """Compare a manifest with itself and with the legacy files as they are now.

    Raises TransferError if the file is no manifest.
    """
    manifest = _read(path)
    check = ManifestCheck(manifest["verdict"], manifest["exit_status"])
    body = {name: value for name, value in manifest.items() if name != "sha256"}
    _compare(check, "the manifest itself", manifest.get("sha256"), digest_of(body))
    for name, file in manifest["files"].items():
        _compare(check, f"{name} ({file['path']})", file["sha256"], _now(name, Path(file["path"])))
    return check


def _compare(check: ManifestCheck, what: str, then: Any, now: str) -> None:
    if then == now:
        check.same.append(what)
    else:
        check.differences.append(f"{what}: SHA-256 was {then}, is {now}")


def _now(name: str, path: Path) -> str:
    """The digest of what is at the manifest's own path, whatever the settings say now."""
    store = next((store for store in stores() if store.name == name), None)
    with scratch_folder("manifest") as folder:
        try:
            if store is not None:
                return store.digest(path)
            return take_snapshot(name, path, folder).sha256
        except LegacyFileError as error:
            return f"unknown: {error}"


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise TransferError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise TransferError(f"{path} is not JSON: give the file that was written then.") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise TransferError(
            f"{path} is not a manifest of verify_migration: write one with --manifest."
        )
    if fault := _fault(data):
        raise TransferError(f"{path} is a manifest that somebody changed or cut short: {fault}.")
    return data


def _fault(manifest: dict[str, Any]) -> str:
    """Return why the manifest cannot be checked, or ""."""
    for name, kind in (("verdict", str), ("exit_status", int), ("sha256", str), ("files", dict)):
        if not isinstance(manifest.get(name), kind):
            return f"its {name!r} is missing or of another type"
    for name, file in manifest["files"].items():
        texts = [file.get(key) for key in ("path", "sha256")] if isinstance(file, dict) else [None]
        if not all(isinstance(text, str) and text and "\0" not in text for text in texts):
            return f"it does not say path and sha256 of {name!r}"
    return ""
