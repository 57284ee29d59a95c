"""Which proof counts for some files now, and if none does, why not: one answer for all who ask.

A proof counts if it looked at every cell of every table of all these files, at the places where
they are now, in this very database, under the present settings and models; and if nothing was
loaded, pruned, carried back or decided since it began. What a follower replays does not void it:
the cut-over proves those rows itself.
A newer verification that ended NOT PROVEN outranks it, whatever that one looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.db.models import DateTimeField, Max, Q, Subquery, Value
from django.db.models.functions import Greatest, Now

from stillme.transfer.inventory.stores import stores
from stillme.transfer.models import FileState, Proof, QuarantinedRow, Run, RunFile, RunTable
from stillme.transfer.plumbing.presence import absence
from stillme.transfer.records.database_identity import cluster_id
from stillme.transfer.registry import declaration, legacy_files

# Commands that write what a proof looked at. A follower's `sync_sqlite` is not among them.
WRITERS = ("import_sqlite", "import_vectors", "rollback_migration")
_NEWEST = 200
# The times that Python can read in any zone: neither `infinity` nor a year before Christ.
DATABLE = (datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC))
_OTHER_DATABASE = "the last one was made of another database, from which this one was restored"


@dataclass(frozen=True, slots=True)
class Standing:
    """What is proven of some files now.

    `proof` is the one that counts, or, where none does, the newest that says something about
    them; `why` is the reason why it does not count, "" where it does. A proof that counts may
    still say NOT PROVEN.
    """

    proof: Proof | None
    why: str = ""

    @property
    def is_proven(self) -> bool:
        """Whether all of it is proven, as of now."""
        return self.proof is not None and not self.why and self.proof.exit_status == 0


def standing_proof(alias: str, files: Mapping[str, Path]) -> Standing:
    """The proof of these files and stores (name -> where it is now)."""
    here = cluster_id(alias)
    proofs = (
        Proof.objects.using(alias)
        .select_related("run")
        .defer("run__summary")
        .order_by("-pk")[:_NEWEST]
    )
    seen = [proof for proof in proofs if _looked_at(proof) & files.keys() or not _looked_at(proof)]
    ours = [proof for proof in seen if proof.report.get("cluster") == here]
    if not ours:
        return Standing(seen[0] if seen else None, _OTHER_DATABASE if seen else "there is none")
    telling = (proof for proof in ours if proof.exit_status or not partial(proof, files))
    chosen = next(telling, ours[0])
    return Standing(chosen, partial(chosen, files) or _void(alias, chosen, files))


def time_of_decision(alias: str) -> Greatest:
    """Now, as an expression; never before a run that has begun, where the server's clock was set
    back."""
    newest = Run.objects.using(alias).order_by("-started_at").values("started_at")
    return Greatest(Now(), Subquery(newest[:1]))


def time_of_proof(alias: str) -> Greatest:
    """Now, as an expression; always after every decision."""
    decided = QuarantinedRow.objects.using(alias).filter(decided_at__range=DATABLE)
    newest = decided.aggregate(last=Max("decided_at"))["last"]
    return Greatest(Now(), Value(newest and newest + timedelta(microseconds=1), DateTimeField()))


def files_to_prove(alias: str) -> dict[str, Path]:
    """Every legacy file and store that is there, or that was loaded once: name -> place."""
    loaded = loaded_names(alias)
    files = [(file.name, file.path, not absence(file.path)) for file in legacy_files()]
    files += [(store.name, store.path(), store.is_present()) for store in stores()]
    return {name: path for name, path, there in files if there or name in loaded}


def loaded_names(alias: str) -> set[str]:
    """Files and stores that the ledger knows: they were imported, or captured."""
    imported = RunFile.objects.using(alias).filter(run__command="import_sqlite")
    known = set(imported.values_list("file", flat=True).distinct())
    known |= set(RunTable.objects.using(alias).values_list("file", flat=True).distinct())
    states = FileState.objects.using(alias).exclude(state=FileState.State.ABSENT)
    return known | set(states.values_list("file", flat=True))


def identity(path: Path) -> dict[str, int]:
    """Device and inode of a file or folder: which one it is, wherever its name leads later."""
    try:
        found = path.stat()
    except OSError:
        return {}
    return {"device": found.st_dev, "inode": found.st_ino}


def _looked_at(proof: Proof) -> set[str]:
    return set(proof.report.get("files") or {})


def partial(proof: Proof, files: Mapping[str, Path]) -> str:
    """What the proof left out of these files; "" where it looked at all of them."""
    if proof.level != "full":
        return f"the last one was of level {proof.level}"
    if tables := proof.run.options.get("tables"):
        return f"the last one looked at {', '.join(tables)} only"
    seen: dict[str, Any] = proof.report.get("files") or {}
    if not files.keys() <= seen.keys():
        listed = ", ".join(sorted(seen)) or "no file"
        return f"the last one looked at {listed} only"
    return ""


def _void(alias: str, proof: Proof, files: Mapping[str, Path]) -> str:
    """What happened since the proof began; "" where it still holds."""
    for name, path in files.items():
        noted = proof.report["files"][name]
        if noted["path"] != str(path):
            return f"the last one looked at {noted['path']}, {name} is {path} now"
        now = identity(path)
        if not now:
            return f"{path} cannot be looked at now"
        if {key: noted.get(key) for key in now} != now:
            return f"the last one looked at another file that was at {path} then"
        declared = proof.report.get("declared", {}).get(name)
        if declared is not None and declared != declaration(name):
            return (
                f"the last one was made when the settings or models said something else about "
                f"{name}: which tables are carried, what they mean, or its zone"
            )
    if run := _written(alias, proof, files):
        return f"rows were loaded since it began (run {run.pk}, {run.command})"
    decided = QuarantinedRow.objects.using(alias).filter(decided_at__gte=proof.run.started_at)
    # Nobody decided about a row that an import or a follower brought back.
    if decided.exclude(decided_by="").exists():
        return "rows in quarantine were decided since it began"
    return ""


def _written(alias: str, proof: Proof, files: Mapping[str, Path]) -> Run | None:
    """A run that wrote after the proof began: by number, as clocks differ between machines.

    An earlier one that has no end worked meanwhile, or was killed at a time that nobody knows.
    """
    of_writers = Run.objects.using(alias).filter(command__in=WRITERS)
    unended = Q(pk__in=proof.report.get("running", [])) | Q(finished_at=None)
    for run in of_writers.filter(Q(pk__gt=proof.run_id) | unended).order_by("pk"):
        only = run.options.get("files")
        if not only or set(only) & files.keys():
            return run
    return None
