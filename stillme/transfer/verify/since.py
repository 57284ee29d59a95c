"""What changed since a proven run: a table is read again only where either side was written.

The legacy side is the same if the snapshot's SHA-256 is; the target side if the fingerprint over
the keys and writing transactions (`xmin`) of its rows, kept cells and quarantined rows is. What
no transaction wrote (a damaged page) this does not see: that takes a full verification.
"""

from __future__ import annotations

import hashlib
from typing import Any

from stillme.transfer.errors import TransferError
from stillme.transfer.models import Proof
from stillme.transfer.verify.result import TableProof
from stillme.transfer.verify.table import TableCase
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
    "digest",
)


def fingerprint(alias: str, case: TableCase) -> str:
    """Of everything on which the proof of a table rests."""
    mapping = case.mapping
    key = mapping.key.target if mapping.key else "xmin"
    sides = [_written(alias, mapping.relation, key, "TRUE", [])]
    for name in ("kept_cell", "quarantined_row"):
        test = '"table" = %s'
        sides.append(_written(alias, f"transfer.{name}", "id", test, [mapping.declared_table]))
    rest = (case.snapshot.sha256, mapping.digest, repr(case.clock), case.units, case.excluded)
    return hashlib.sha256(repr((sides, rest)).encode()).hexdigest()


def _written(alias: str, relation: str, key: str, test: str, values: list[Any]) -> tuple[Any, ...]:
    return select(
        alias,
        f"SELECT count(*), sum(hashtextextended(xmin::text || ':' || \"{key}\"::text, 0)::numeric)"
        f"::text FROM {relation} WHERE {test}",
        values,
    )[0]


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
    return {name: table for name, table in kept.items() if not table["findings"]}


def to_keep(mark: str, proof: TableProof) -> dict[str, Any]:
    """What the ledger keeps of a table's proof, `mark` being its fingerprint."""
    return {
        "fingerprint": mark,
        "findings": proof.findings.total,
        "counts": {name: getattr(proof, name) for name in _COUNTS},
        "ranges": proof.ranges,
    }


def unchanged(
    case: TableCase, mark: str, proven: dict[str, dict[str, Any]], run: int | None
) -> TableProof | None:
    """The kept proof of a table, if nothing it rests on has changed: its fingerprint is `mark`."""
    mapping = case.mapping
    kept = proven.get(mapping.declared_table)
    if kept is None or kept["fingerprint"] != mark:
        return None
    proof = TableProof(mapping.file, mapping.declared_table, mapping.target)
    for name, value in kept["counts"].items():
        setattr(proof, name, value)
    proof.ranges = kept["ranges"]
    proof.since = run
    return proof
