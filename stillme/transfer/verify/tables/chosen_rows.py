"""Judging chosen rows, and asking again about rows whose changes were still on their way.

While the old application writes, a snapshot can be ahead of the target by the changes that capture
has noted and nobody has replayed. `settle_findings` lets the caller replay them, and then judges
every row with a finding again on a new snapshot. Only what still differs counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any

from stillme.transfer.errors import TransferError
from stillme.transfer.findings import OF_ROWS, Finding
from stillme.transfer.keys import spelled_keys
from stillme.transfer.plumbing.scratch import scratch_folder
from stillme.transfer.registry import legacy_files
from stillme.transfer.sqlite.copying.snapshot import take_snapshot
from stillme.transfer.verify.result import Findings, TableProof, VerifyResult
from stillme.transfer.verify.rows.quarantine_records import unclaimed
from stillme.transfer.verify.sides.utf16_copy import check_converted
from stillme.transfer.verify.tables.table_cases import make_cases
from stillme.transfer.verify.tables.table_judge import TableJudge

# Called with the file of the rows with findings; tells whether something may have arrived since.
Settle = Callable[[str], bool]


def verify_keys(
    file: str, table: str, keys: Iterable[Any], *, database: str = "default"
) -> TableProof:
    """Judge the rows of these keys as both sides are now. Raises TransferError."""
    known = next((f for f in legacy_files() if f.name == file), None)
    if known is None:
        raise TransferError(f"There is no legacy file {file!r}.")
    with scratch_folder("verify") as folder:
        snapshot = take_snapshot(file, known.path, folder)
        check_converted(snapshot)
        cases = make_cases(database, snapshot)
        if table not in cases:
            raise TransferError(f"{file} has no table {table!r} to verify.")
        mapping = cases[table].mapping
        proof = TableProof(mapping.file, mapping.declared_table, mapping.target)
        if mapping.key_columns:
            wanted = mapping.key_columns.parsed(map(str, keys))
            with closing(TableJudge(database, cases[table])) as judge:
                judge.judge_keys(wanted, proof)
            proof.findings.extend(unclaimed(database, mapping, proof, spelled_keys(wanted)))
        return proof


def settle_findings(alias: str, result: VerifyResult, settle: Settle) -> None:
    """Let the changes in flight arrive, then ask again about every row with a finding.

    A row that is written all the time may have changed again before it is read: those that are
    left are asked about once more, as long as they become fewer.
    """
    for proof in result.tables:
        before, keys = 0, _keys_with_findings(proof)
        while keys and len(keys) != before and proof.findings.total == len(proof.findings.kept):
            if not settle(proof.file):
                break
            again = verify_keys(proof.file, proof.table, keys, database=alias)
            others = [f for f in proof.findings.kept if not _key_of_row(f)]
            proof.findings = Findings()
            proof.findings.extend(others)
            proof.findings.merge(again.findings)
            before, keys = len(keys), _keys_with_findings(proof)


def _keys_with_findings(proof: TableProof) -> list[str]:
    return sorted({key for finding in proof.findings.kept if (key := _key_of_row(finding))})


def _key_of_row(finding: Finding) -> str | None:
    """The key of the row that a finding is about; None for other findings."""
    return finding.key if finding.kind in OF_ROWS else None
