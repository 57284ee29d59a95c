"""What changed since a proven run: a key range is read again only where either side was written.

The target side of a range is the same if the keys and writing transactions (`xmin`) of its rows,
kept cells and quarantined rows are; the legacy side if the snapshot's SHA-256 is, else if its own
digest is, for which its legacy rows are read. What no transaction wrote (a damaged page) this does
not see: that takes a full verification.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stillme.transfer.errors import TransferError
from stillme.transfer.models import Proof
from stillme.transfer.verify.legacy_side import is_text_key
from stillme.transfer.verify.result import TableProof
from stillme.transfer.verify.table import Part, TableCase
from stillme.transfer.verify.target_side import select

_COUNTS = (
    "legacy_rows",
    "target_rows",
    "by_digest",
    "by_cell",
    "cells",
    "repaired",
    "open",
    "accepted",
)
_ELSEWHERE = -1


@dataclass(frozen=True, slots=True)
class Records:
    """Marks of what the ledger keeps of a table's rows: per key range, and of all that belongs to
    no range, together with whatever else decides about every row."""

    ranges: tuple[str, ...]
    rest: str


@dataclass(frozen=True, slots=True)
class KnownRange:
    """A key range as a proven run left it. `same_file`: the legacy file has not changed since."""

    kept: dict[str, Any]
    same_file: bool

    @property
    def part(self) -> Part:
        """Its bounds."""
        return Part(self.kept["after"], self.kept["upto"])

    def proof(self, case: TableCase) -> TableProof:
        """The proof of then."""
        mapping = case.mapping
        proof = TableProof(mapping.file, mapping.declared_table, mapping.target)
        for name, value in self.kept["counts"].items():
            setattr(proof, name, value)
        proof.digest = self.kept["digest"]
        proof.ranges = [{**self.kept, "again": True}]
        return proof


def proven_tables(alias: str, run: int | None) -> dict[str, dict[str, Any]]:
    """Declared table -> what the proof of that run kept. Raises TransferError without one."""
    if run is None:
        return {}
    proof = Proof.objects.using(alias).filter(run_id=run).first()
    if proof is None or proof.level != "full":
        raise TransferError(
            f"Run {run} is no full verification: `manage.py migration_status` names the last proof."
        )
    kept: dict[str, dict[str, Any]] = proof.report.get("tables", {})
    return kept


def known_ranges(case: TableCase, kept: dict[str, Any] | None) -> list[KnownRange]:
    """The key ranges of a table in the proven run."""
    if kept is None or "rest" not in kept:
        return []
    same = kept["sha256"] == case.snapshot.sha256
    return [KnownRange(found, same) for found in kept["ranges"]]


def records(alias: str, case: TableCase, parts: Sequence[Part]) -> Records:
    """The marks of a table that falls into these parts."""
    found: dict[int, list[Any]] = {}
    edges = [part.upto for part in parts[:-1]]
    for name in ("kept_cell", "quarantined_row"):
        for place, *mark in _marks(alias, case, name, edges):
            found.setdefault(place, []).append((name, *mark))
    mapping = case.mapping
    around = (mapping.digest, repr(case.clock), sorted(case.units.items()), case.excluded)
    rest = repr((found.get(_ELSEWHERE), around))
    return Records(
        tuple(_sha256(repr(found.get(place))) for place in range(len(parts))), _sha256(rest)
    )


def _marks(alias: str, case: TableCase, name: str, edges: list[Any]) -> list[tuple[Any, ...]]:
    """(place, rows, their writers) per key range; records without a usual key are elsewhere."""
    place, values = str(_ELSEWHERE), []
    if not is_text_key(case.mapping):
        place = (
            "CASE WHEN key ~ '^-?[0-9]{1,18}$' "
            f"THEN width_bucket(key::bigint - 1, %s::bigint[]) ELSE {_ELSEWHERE} END"
        )
        values = [edges]
    return select(
        alias,
        f"SELECT {place} AS place, count(*), bit_xor(hashint8extended(id, xmin::text::bigint)) "
        f'FROM transfer.{name} WHERE "table" = %s GROUP BY place',
        [*values, case.mapping.declared_table],
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def mark_range(proof: TableProof, target: str, kept_records: str) -> None:
    """Note in the proof of one range what tells later whether it is still as it was."""
    proof.ranges[0].update(
        target=target,
        records=kept_records,
        findings=proof.findings.total,
        counts={name: getattr(proof, name) for name in _COUNTS},
    )


def to_keep(case: TableCase, marks: Records, proof: TableProof) -> dict[str, Any]:
    """What the ledger keeps of a table's proof."""
    return {
        "rest": marks.rest,
        "sha256": case.snapshot.sha256,
        "findings": proof.findings.total,
        "ranges": [
            {name: value for name, value in found.items() if name != "again"}
            for found in proof.ranges
        ],
    }
