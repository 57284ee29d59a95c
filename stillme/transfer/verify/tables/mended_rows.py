"""Rows that were repaired or set aside in a well-known way, compared many at a time.

By the lines that both sides make of them (`mended_lines`, `aside_lines`).
"""

from __future__ import annotations

from collections.abc import Sequence

from stillme.transfer.keys import Key
from stillme.transfer.models import QuarantinedRow
from stillme.transfer.verify.result import TableProof
from stillme.transfer.verify.sides.json_blocks import DocumentBlock
from stillme.transfer.verify.sides.legacy_blocks import Block
from stillme.transfer.verify.sides.target_table import TargetSide


def are_mended(
    target: TargetSide, block: Block, keys: Sequence[Key], columns: int, proof: TableProof
) -> bool:
    """Whether the target holds the mended rows of a block, and the ledger just what must be kept.
    `keys` are those of the rows.

    Then they are counted; else nothing is.
    """
    rows = block.mended
    if rows is None:
        return True
    found = target.mended(keys)
    same = found.content == rows.content and are_same(rows.documents, found.documents)
    wanted = b"".join(block.originals).split(b"\n")[:-1]
    if not same or sorted(found.originals) != sorted(wanted):
        return False
    proof.target_rows += rows.content.rows
    proof.by_digest += rows.content.rows
    proof.repaired += rows.content.rows
    proof.cells += rows.content.rows * columns
    proof.originals.extend(found.ids)
    return True


def are_aside(target: TargetSide, block: Block, cells: int, proof: TableProof) -> bool:
    """Whether the quarantine holds just the rows of a block that must be there, as they are.

    `cells` has each of them. Then they are counted; else nothing is.
    """
    rows = block.aside
    found = target.aside(rows.keys) if rows.keys else []
    if sorted(line for _, _, line in found) != sorted(rows.lines):
        return False
    proof.by_digest += len(rows.lines)
    proof.cells += len(rows.lines) * cells
    proof.records.extend(pk for pk, _, _ in found)
    accepted = sum(status == QuarantinedRow.Status.ACCEPTED for _, status, _ in found)
    proof.accepted += accepted
    proof.open += len(found) - accepted
    return True


def are_same(legacy: Sequence[DocumentBlock], target: Sequence[bytes]) -> bool:
    """Whether the documents of both sides mean the same, column by column."""
    return all(side.is_same(other) for side, other in zip(legacy, target, strict=True))
